"""The configuration page says what the types say."""

from orion.app import reference


def test_the_page_is_the_one_made_from_the_types():
    assert reference.PAGE.read_text() == reference.page()
