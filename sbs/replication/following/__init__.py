"""The follower's side: lists what it holds, takes generations, applies them."""
