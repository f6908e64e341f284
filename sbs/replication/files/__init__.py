"""What stands on the disk: opened without following links, read without tearing, remembered."""
