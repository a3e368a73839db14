"""Why a GPU that was asked for cannot be used, and the one thing to do about it."""

import os
import re
from dataclasses import dataclass

import pynvml

from crossover.hardware.card import (
    ask,
    card_names,
    find_card,
    nvidia_driver_version,
    visible_cards,
)
from crossover.hardware.runtimes.base import BaseRuntime
from crossover.records.backends import BACKENDS
from crossover.records.settings import Backend


@dataclass(frozen=True)
class GpuFacts:
    """What driver, CUDA and framework say; None is unknown.

    ``driver_cuda`` is the newest CUDA that the driver runs, ``capability`` that of CUDA's first
    card, ``hidden_by`` the environment variable that leaves the process no card, and
    ``architectures`` the card generations that the framework holds or makes code for.
    """

    driver: str | None = None
    cards: tuple[str, ...] = ()
    driver_cuda: tuple[int, int] | None = None
    capability: tuple[int, int] | None = None
    hidden_by: str | None = None
    built_for: str | None = None
    architectures: tuple[str, ...] = ()


def gather_facts(runtime: BaseRuntime) -> GpuFacts:
    """Ask driver, CUDA and framework."""
    version = ask(pynvml.nvmlSystemGetCudaDriverVersion_v2)
    card, named = find_card(), os.environ.get("CUDA_VISIBLE_DEVICES")
    hides = named is not None and visible_cards() == 0
    return GpuFacts(
        # Some containers hold CUDA's library and not NVML.
        driver=nvidia_driver_version() or ("of unknown version" if visible_cards() else None),
        cards=tuple(card_names()),
        driver_cuda=(version // 1000, version % 1000 // 10) if version else None,
        capability=card.capability if card else None,
        hidden_by=f"CUDA_VISIBLE_DEVICES={named}" if hides else runtime.hidden_by(),
        built_for=runtime.cuda()[0],
        architectures=tuple(runtime.architectures()),
    )


def why_no_gpu(backend: Backend, facts: GpuFacts) -> str:
    """One sentence: what is missing, and its remedy; what explains the rest comes first."""
    if facts.driver is None:
        return "A GPU was asked for but no NVIDIA driver is present: use the kernel crossover-cpu."
    again = f"make clean-env report BACKEND={backend}"
    present = f"NVIDIA driver {facts.driver} shows {', '.join(facts.cards) or 'a card'}, but"
    if facts.built_for is None:
        return f"{present} {backend} is installed without CUDA: run '{again}' to install it with."
    if facts.hidden_by is not None:
        return f"{present} {facts.hidden_by} hides it: unset that, or name a card that exists."
    needed = int(facts.built_for.split(".")[0])
    if facts.driver_cuda is not None and facts.driver_cuda[0] < needed:
        runs = _dotted(facts.driver_cuda)
        return f"{present} runs CUDA up to {runs} and {backend} needs {needed}: update the driver."
    if (unfit := _unfit_card(backend, facts)) is not None:
        return f"{present} its compute capability {unfit}."
    return (
        f"{present} {backend} cannot start it: the libraries of CUDA {facts.built_for} are missing "
        f"or broken: run '{again}' to install them."
    )


def _unfit_card(backend: Backend, facts: GpuFacts) -> str | None:
    """A card that is too old or too new for the framework, and what to do."""
    served, own = _capabilities(facts.architectures), facts.capability
    if own is None or not served:
        return None
    oldest, newest = min(served), max(served)
    if own < oldest:
        return (
            f"{_dotted(own)} is too old for {backend}, which needs {_dotted(oldest)}: use the "
            "kernel crossover-cpu"
        )
    if own > newest:
        return (
            f"{_dotted(own)} is newer than this {backend}, which knows cards up to "
            f"{_dotted(newest)}: {BACKENDS[backend].newer_card}"
        )
    return None


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _capabilities(architectures: tuple[str, ...]) -> list[tuple[int, int]]:
    """The compute capabilities of names such as 'sm_86' and 'compute_90'."""
    pattern = r"(?:sm|compute)_(\d+)(\d)[a-z]?"
    matches = [re.fullmatch(pattern, name) for name in architectures]
    return [(int(match[1]), int(match[2])) for match in matches if match]
