"""The search page loads nothing from elsewhere, and its policy allows only itself."""

import re

from lsr_service.page.page import _page


def test_policy_allows_exactly_the_inline_elements() -> None:
    body, policy = _page()
    assert policy.count("'sha256-") == 2
    assert "unsafe" not in policy
    assert len(re.findall(rb"<script", body)) == len(re.findall(rb"<style", body)) == 1
    assert not re.search(rb"\sstyle=|\son[a-z]+=", body), "an attribute the policy would block"


def test_page_refers_to_nothing_outside() -> None:
    body, _ = _page()
    links = re.findall(rb"(?:src|href)=\"([^\"]*)\"", body)
    assert all(link.startswith(b"data:") for link in links)
    assert not re.search(rb"https?://(?!www\.w3\.org)", body)


def test_documents_are_shown_as_text_never_as_markup() -> None:
    body, _ = _page()
    assert not re.search(rb"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", body)


def test_controls_have_labels() -> None:
    body = _page()[0].decode()
    for control in re.findall(r"<(?:input|select) id=\"(\w+)\"", body):
        assert f'<label class="hidden" for="{control}">' in body
