"""Downloads original files into memory. A file counts only if it has its published MD5.

A portal that answers with its own page, a short body and a body that drips all end as if there were no network.
"""

import hashlib
import http.client
import queue
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from urllib.parse import urlsplit

import bnbench

SECONDS = 600.0  # for all files of a dataset
SECONDS_WITHOUT_A_BYTE = 20.0
MAX_BYTES = 200_000_000  # of a file; the largest original has 18 MB
CHUNK = 1 << 16

# (bytes so far, bytes in total or None); and for a label, such a function while a file is downloaded
Update = Callable[[int, int | None], None]
Show = Callable[[str], AbstractContextManager[Update]]


def show_nothing(_: str) -> AbstractContextManager[Update]:
    """The `Show` of a caller that has no display."""
    return nullcontext(lambda done, total: None)


def download(
    resources: Sequence[tuple[str, str]], mirrors: Sequence[str], label: str, show: Show = show_nothing
) -> dict[str, bytes]:
    """The contents of each file by its name. `resources` are names and MD5s; each mirror ends with a slash.

    All files together take at most SECONDS. Raises ConnectionError, with the reasons, where no mirror gives a file.
    """
    deadline = time.monotonic() + SECONDS
    files = {}
    for number, (name, md5) in enumerate(resources, start=1):
        with show(f"{label}, file {number} of {len(resources)}") as update:
            files[name] = _from_a_mirror(name, md5, mirrors, deadline, update)
    return files


def _from_a_mirror(name: str, md5: str, mirrors: Sequence[str], deadline: float, update: Update) -> bytes:
    urls = [f"{mirror}{name}" for mirror in mirrors]
    reasons = []
    while urls and time.monotonic() < deadline:
        url = urls.pop(0)
        try:
            contents = _get(url, deadline, update)
        except (OSError, http.client.HTTPException, ValueError) as error:
            cause = getattr(error, "reason", None)  # urllib packs what went wrong in an error of its own
            if isinstance(cause, ssl.SSLError) and url.startswith("https:"):
                urls.insert(0, url.replace("https:", "http:", 1))  # the MD5 says whether it is the file
            cause = cause if isinstance(cause, OSError) else error
            reasons.append(getattr(cause, "strerror", None) or str(cause) or type(cause).__name__)
            continue
        if hashlib.md5(contents, usedforsecurity=False).hexdigest() == md5:
            return contents
        sent = "a web page" if contents.lstrip().startswith(b"<") else f"{len(contents):,} bytes with another MD5"
        reasons.append(f"{urlsplit(url).netloc} sent {sent}")
    raise ConnectionError(f"{name}: {'; '.join(dict.fromkeys(reasons)) or 'no time was left'}")


def _get(url: str, deadline: float, update: Update) -> bytes:
    """The body at `url`. Raises OSError (also at the deadline), HTTPException or ValueError.

    A thread reads it, because the timeout of a socket limits neither the search for its address nor a server that
    sends its headers byte by byte. A thread that is left behind ends with the process.
    """
    arrived: queue.SimpleQueue[tuple[bytes, int | None] | Exception] = queue.SimpleQueue()
    given_up = threading.Event()

    def read() -> None:
        try:
            request = urllib.request.Request(url, headers={"User-Agent": f"bnbench/{bnbench.__version__}"})
            with urllib.request.urlopen(request, timeout=SECONDS_WITHOUT_A_BYTE) as response:
                total = response.length
                while not given_up.is_set():
                    chunk = response.read1(CHUNK)  # what is there, while read() would wait for more
                    arrived.put((chunk, total))
                    if not chunk:
                        return
        except Exception as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it is an open response, too
            arrived.put(error)

    threading.Thread(target=read, name="download", daemon=True).start()
    body = bytearray()
    try:
        while True:
            event = arrived.get(timeout=max(0.0, deadline - time.monotonic()))
            if isinstance(event, Exception):
                raise event
            chunk, total = event
            body += chunk
            update(len(body), total)
            if len(body) > MAX_BYTES:
                raise OSError(f"{urlsplit(url).netloc} sent more than {MAX_BYTES:,} bytes")
            if not chunk:
                break
    except queue.Empty:
        raise TimeoutError(f"too slow: {len(body):,} bytes of it when {SECONDS:.0f} s were over") from None
    finally:
        given_up.set()
    if total is not None and len(body) < total:
        raise OSError(f"the connection ended after {len(body):,} of {total:,} bytes")
    return bytes(body)
