"""Settings of learners from texts and JSON."""

from dataclasses import dataclass, field

import pytest

from optrl.learning.base import LearnerSettings, TrainingError
from optrl.learning.settings import (
    settings_as_json,
    settings_from,
    settings_from_texts,
    settings_of,
)


@dataclass(frozen=True)
class Inner:
    """How it is seen.

    Attributes:
        kind: What is seen.
        wide: Whether all of it
            is seen.
    """

    kind: str = "order"
    wide: bool = False


@dataclass(frozen=True, kw_only=True)
class Settings(LearnerSettings):
    """How to learn.

    Attributes:
        learning_rate: At the ``start``.
    """

    updates: int = 7
    learning_rate: float = 1e-3
    hidden: tuple[int, ...] = (64, 64)
    whole: bool | None = None
    inner: Inner = field(default_factory=Inner)


def test_texts_become_values():
    """By the annotation of the field, whatever the text looks like."""
    given = ["learning_rate=1e-2", "hidden=8", "whole=true", "inner.kind=none such", "updates=3"]
    settings = settings_from_texts(Settings, [*given, "exploding=none"])
    assert settings == Settings(
        updates=3,
        learning_rate=0.01,
        hidden=(8,),
        whole=True,
        exploding=None,
        inner=Inner("none such"),
    )
    assert settings_from_texts(Settings, ["hidden=(8, 16)", "whole=None"]).hidden == (8, 16)
    assert settings_from_texts(Settings, []) == Settings()


def test_json_gives_the_same_settings_again():
    """What a folder says about a training is what it was begun with."""
    settings = Settings(hidden=(1, 2, 3), inner=Inner(wide=True), learning_rate=0.1)
    assert settings_from(Settings, settings_as_json(settings)) == settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("learningrate=1", "did you mean 'learning_rate'"),
        ("inner.size=1", "'size' is unknown"),
        ("updates.more=1", "'updates.more' is unknown"),
        ("updates=1.5", "updates is '1.5'"),
        ("updates=0", "at least 1"),
        ("exploding=1", "above 1"),
        ("whole=3", "whole is '3'"),
        ("hidden=a", "hidden is 'a'"),
        ("inner.wide=perhaps", "inner.wide is 'perhaps'"),
        ("learning_rate=nan", "finite"),
        ("learning_rate=inf", "finite"),
        ("learning_rate", "name=value"),
    ],
)
def test_wrong_settings_are_told(text, said):
    """The message names the setting and the value."""
    with pytest.raises(TrainingError, match=said):
        settings_from_texts(Settings, [text])


def test_a_setting_given_twice_is_told():
    """Rather than the last one winning."""
    with pytest.raises(TrainingError, match="twice"):
        settings_from_texts(Settings, ["updates=1", "updates=2"])


def test_settings_are_listed_with_what_they_mean():
    """Defaults as texts that give them again, meanings from the docstrings of all classes."""
    listed = {setting.name: setting for setting in settings_of(Settings)}
    assert list(listed)[:4] == ["updates", "checkpoint_every", "validate_every", "exploding"]
    assert listed["updates"].about == "Updates in total."
    assert listed["learning_rate"].about == "At the start."
    assert listed["inner.wide"].about == "Whether all of it is seen."
    texts = [f"{setting.name}={setting.default}" for setting in listed.values()]
    assert settings_from_texts(Settings, texts) == Settings()
