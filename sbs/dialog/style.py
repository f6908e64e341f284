"""How the dialog looks, in Textual's CSS: all of it fits 80 columns by 24 lines."""

from __future__ import annotations

from typing import Final

STYLE: Final = """\
Screen { background: $background; overflow: hidden; }
TabbedContent { height: 1fr; }
#bar { dock: top;
    height: 1;
    text-wrap: nowrap;
    text-overflow: ellipsis;
    color: $foreground;
    padding: 0 1;
    background: $panel;
    }
TabPane { padding: 0 1; }
Tabs { height: 2; }

#node { height: 1fr; }
#logo { height: 7; padding: 1 1; }
#facts { color: $foreground; }
#facts-around { height: 1fr; scrollbar-size-vertical: 1; }
.buttons { height: 1; margin: 0; }
.buttons Button { margin: 0 2 0 0; min-width: 10; }

.why { height: 1fr; padding: 2 4; }
OptionList { border: none; }
#settings > OptionList { width: 16; height: 1fr; padding: 0 1 0 0; }
Fields { height: 1fr; }
.fields { height: 1fr; scrollbar-size-vertical: 1; }
.help { height: auto; min-height: 4; max-height: 9; padding: 0 1; border-top: solid $panel; }
Field { height: 1; }
Field Label { width: 24; padding: 0 1; }
Field Input, Field Select { width: 1fr; }
Field.wrong Label { color: $text-error; text-style: bold; }
Field.wrong Input { color: $text-error; }

#folder-list { width: 20; padding: 0 1 0 0; }
#folder-list OptionList { height: 1fr; }
#folder-list .buttons Button { min-width: 8; margin: 0 1 0 0; }
#folder Fields, #folder .fields { height: auto; }
#rules-label { padding: 0 1; color: $text-muted; }
#rules { height: 4; padding: 0 1; }
#preview-around { height: 1fr; padding: 0 1; border-top: solid $panel; scrollbar-size-vertical: 1; }
#preview { height: auto; }

Question, Report { align: center middle; }
.window { width: 72;
    max-width: 95%;
    height: auto;
    max-height: 90%;
    padding: 1 2;
    border: thick $primary;
    background: $surface;
    }
.window VerticalScroll { height: auto; max-height: 14; margin-bottom: 1; }
.window .title { text-style: bold; margin-bottom: 1; }
"""
