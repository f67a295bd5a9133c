"""Single requests, without a client of a user. httpx reads the system's certificate authorities for each
of its clients and single requests, which takes 40 ms of processor time: TLS has them, read once."""

import functools
import ssl

import httpx

TLS = ssl.create_default_context()
get = functools.partial(httpx.get, verify=TLS)
post = functools.partial(httpx.post, verify=TLS)
request = functools.partial(httpx.request, verify=TLS)
