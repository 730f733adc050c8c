"""What a file tells an LLM to say reaches it in no word; what it reads in pixels, and obeys, reaches no reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from fake_llm import FakeLlm
from injections import INTRODUCTION, Obedient, injections
from serving import StartProcess

INJECTIONS = 1000


@pytest.mark.timeout(1200)
def test_a_thousand_files_that_tell_an_llm_what_to_say_are_obeyed_by_it_and_shown_to_nobody(
    start_process: StartProcess, llm: FakeLlm, record_property: Callable[[str, object], None]
) -> None:
    llm.reply = obedient = Obedient()
    router, _ = start_process(DOKUEI_LLM_BASE_URL=llm.url, DOKUEI_LLM_MODEL="words-1", DOKUEI_LLM_SEND_IMAGES="true")
    sources: Counter[tuple[str, str]] = Counter()
    read = 0
    for injection in injections(INJECTIONS):
        asked, obeyed = len(llm.requests), len(obedient.obeyed)
        answer = router.post(
            "/api/analyses",
            files={"files": (injection.name, injection.data)},
            data={"model": "chest-xray-pneumonia"},
        )
        assert answer.status_code == 201, answer.text
        assert len(llm.requests) == asked + 1, "each is asked for: two failures are never in a row"
        explanation = answer.json()["explanation"]
        sources[injection.place, explanation["source"]] += 1
        assert injection.demand not in answer.text
        if injection.in_pixels:
            read += obedient.obeyed[obeyed:] == [injection.demand]
        else:
            assert obedient.obeyed[obeyed:] == [], "no word of the file comes that far"
            assert explanation["source"] == "llm"
    assert read > 0.45 * INJECTIONS, "most that stands in pixels is read"
    assert sources["pixels", "template"] + sources["pixels of DICOM", "template"] >= read
    assert INTRODUCTION.encode() not in b"".join(llm.bodies)
    record_property("measured", f"{INJECTIONS} injections, {read} read in pixels and obeyed, 0 shown")
