"""Encoders by name, fetched by Python's own library: it knows certificates and proxies, and the module needs no libcurl."""

import http.client
import os
import pathlib
import sys
import time
import urllib.request

from ._dinomaly import InputError, _find_encoder

_MOST_BYTES = 8 << 30


def _download(address, part):
    """Fetches the address (http, https, file) into the file `part`, which is removed where that fails."""
    part = pathlib.Path(part)
    part.with_name(part.name + ".etag").unlink(missing_ok=True)  # of a part that the program has left
    try:
        with urllib.request.urlopen(address, timeout=60) as answer, part.open("wb") as file:
            total = int(answer.headers.get("Content-Length") or 0)
            done, told = 0, time.monotonic()
            while chunk := answer.read(1 << 20):
                file.write(chunk)
                done += len(chunk)
                if done > _MOST_BYTES:
                    raise ValueError(f"is larger than {_MOST_BYTES} bytes")
                if time.monotonic() - told > 10:
                    told = time.monotonic()
                    print(f"{address}: {done // 10**6} of {total // 10**6 or '?'} MB", file=sys.stderr)
            if total and done != total:
                raise ValueError(f"broke off after {done} of {total} bytes")
    except (OSError, http.client.HTTPException, ValueError) as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{address}: {getattr(error, 'reason', None) or error}") from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def fetch_encoder(encoder, offline=False):
    """Where `encoder` is a name (`dinomaly encoder list` of the program), its file is fetched unless it is there."""
    if encoder is not None:
        _find_encoder(os.fspath(encoder), bool(offline), _download)
