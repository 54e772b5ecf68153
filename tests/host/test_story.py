"""The story that `tools/try --auto` plays, whole, and again with a kill -9 of vigild between every two steps."""

import pytest
from story import Story


@pytest.mark.parametrize("kill9", [False, True], ids=["undisturbed", "with-kill-9"])
def test_the_story_of_one_login_holds(host, kill9):
    Story(host, kill9=kill9).play()
