"""The settings in ``instance.toml``: declared, checked and written."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from optrl_formulations.network import Unmet
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from optrl.errors import Fault
from optrl.instance import DemandFamily
from optrl.tables.faults import FaultList, nearest

FILE = "instance.toml"
_Text = Annotated[str, Field(min_length=1)]
_Finite = Field(allow_inf_nan=False)


class Settings(BaseModel):
    """What holds for the whole instance."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: _Text = Field(description="name shown in reports")
    period: _Text = Field(description="what one period is, for example week")
    periods_per_year: Annotated[float, _Finite] = Field(
        gt=0, description="periods in a year, to annualize turns"
    )
    start: int = Field(ge=0, le=1_000_000, description="first period to plan")
    horizon: int = Field(ge=1, le=100_000, description="number of periods to plan")
    unmet: Unmet = Field(description="lost or backorder: what becomes of unmet demand")
    money: _Text = Field(default="money", description="currency shown in reports")
    quantity: _Text = Field(default="units", description="unit of quantity shown in reports")
    discount: Annotated[float, _Finite] = Field(
        default=1.0, gt=0, le=1, description="factor by which costs count less a period later"
    )
    demand_family: DemandFamily = Field(
        default="negative_binomial", description="how demand is fitted, or spread about a forecast"
    )
    season: int = Field(default=0, ge=0, description="periods of a season, 0 for none")
    frozen_periods: int = Field(
        default=0, ge=0, description="periods from start on in which orders are already fixed"
    )
    notes: dict[str, str] = Field(
        default_factory=dict, description="table of texts: what is real and what is assumed"
    )


@dataclass(frozen=True)
class Known:
    """The settings that other checks need, None where they are themselves at fault."""

    start: int | None
    horizon: int | None
    unmet: Unmet | None
    frozen_periods: int | None


def read_settings(path: Path, faults: FaultList) -> tuple[Settings | None, Known]:
    """Read and check ``instance.toml``; what is wrong goes to `faults`."""
    unknown = Known(None, None, None, None)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        faults.add(
            Fault(FILE, None, None, None, "the file is missing", f"Add {FILE} to {path.parent}.")
        )
        return None, unknown
    except (OSError, UnicodeDecodeError) as error:
        faults.add(
            Fault(FILE, None, None, None, f"cannot be read: {error}", "Save it as UTF-8 text.")
        )
        return None, unknown
    except tomllib.TOMLDecodeError as error:
        problem = f"is not valid TOML: {error}"
        faults.add(Fault(FILE, None, None, None, problem, "Put texts in quotes, one key a line."))
        return None, unknown
    return check_settings(values, FILE, faults)


def check_settings(
    values: Mapping[str, Any], label: str, faults: FaultList
) -> tuple[Settings | None, Known]:
    """Check settings; `label` says where they come from."""
    settings, wrong = None, set[str]()
    try:
        settings = Settings.model_validate(dict(values))
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            key = ".".join(str(part) for part in detail["loc"])
            wrong.add(str(detail["loc"][0]))
            faults.add(_fault(label, key, detail["type"], detail["msg"], detail["input"]))

    def sound(key: str) -> Any:  # a value of whichever type the setting has
        default = Settings.model_fields[key].get_default()
        return None if key in wrong else values.get(key, default)

    known = Known(sound("start"), sound("horizon"), sound("unmet"), sound("frozen_periods"))
    if known.frozen_periods and known.horizon and known.frozen_periods > known.horizon:
        problem = f"more periods are frozen than the horizon of {known.horizon} holds"
        remedy = "Lower frozen_periods or lengthen the horizon."
        value = str(known.frozen_periods)
        faults.add(Fault(label, None, "frozen_periods", value, problem, remedy))
    return settings, known


def _fault(label: str, key: str, kind: str, message: str, value: object) -> Fault:
    if kind == "missing":
        return Fault(label, None, key, None, "the setting is missing", f"Add {key} = ...")
    if kind == "extra_forbidden":
        remedy = nearest(key, Settings.model_fields) or "Remove it; notes go into [notes]."
        return Fault(label, None, key, str(value), "there is no such setting", remedy)
    meaning = Settings.model_fields[key.split(".")[0]].description
    problem = message[0].lower() + message[1:]
    return Fault(label, None, key, str(value), problem, f"The setting is: {meaning}.")


def settings_toml(settings: Settings) -> str:
    """The text of ``instance.toml``."""
    values = settings.model_dump()
    notes = values.pop("notes")
    lines = [f"{key} = {_toml(value)}" for key, value in values.items()]
    if notes:
        lines += ["", "[notes]", *(f"{_toml(key)} = {_toml(text)}" for key, text in notes.items())]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    # JSON escapes are TOML escapes; only DEL must be escaped in TOML and is not in JSON.
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
