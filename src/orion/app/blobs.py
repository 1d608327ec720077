"""Where blobs lie: a folder, or a bucket, as it is configured."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orion.platform.blob.local import LocalBlob
from orion.platform.blob.port import Blob
from orion.platform.config import Settings
from orion.platform.datadir import StartError


@asynccontextmanager
async def open_blobs(settings: Settings) -> AsyncIterator[Blob]:
    """The blobs, as long as the block lasts. Asks nothing of a server yet. Raises ConfigError, and
    StartError where a package is not installed.
    """
    config = settings.platform
    if not config.blob_url.startswith("s3:"):
        yield LocalBlob.of(config)
        return
    s3 = cluster_part("orion.platform.blob.s3")
    async with s3.S3Blob.open(config) as blob:
        yield blob


def cluster_part(name: str):
    """A module that needs packages of the cluster profile. Raises StartError."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise StartError(
            f"The package {error.name} is not installed. Run `./orion setup --cluster`."
        ) from None
