"""What reading a bad corpus says."""

import pytest

from lsr.corpus import open_corpus
from lsr.errors import CorpusError


def message_of(path, **options):
    """Return the message of the error that ends the reading of a corpus."""
    with pytest.raises(CorpusError) as caught:
        list(open_corpus(path, **options))
    return str(caught.value)
