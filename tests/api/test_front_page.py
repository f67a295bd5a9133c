"""GET /: the page that a browser shows at the server's address."""

import base64
import hashlib
import html.parser
import re

import plain


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.languages, self.text, self.style = [], [], [], "", ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        attributes = dict(attributes)
        assert not [name for name in attributes if name.startswith("on")]
        if tag == "a":
            self.links.append(attributes["href"])
        if tag == "section":
            self.languages.append(attributes["lang"])

    def handle_data(self, data):
        if self.tags[-1] == "style" and not self.style:
            self.style = data
        self.text += data


def test_names_the_server_and_how_to_connect(fresh_server):
    s = fresh_server(
        server_name="gov.example", public_baseurl="https://matrix.gov.example/a&b'c",
        support_page="https://gov.example/help", support_email="<help>@gov.example",
        terms_url="https://gov.example/terms",
    )
    r = plain.get(s.url + "/")
    assert r.status_code == 200
    assert r.headers["content-type"] == "text/html; charset=utf-8"
    page = Page(r.text)
    assert page.languages == ["fr", "en"]
    assert page.text.count("gov.example") >= 2
    assert page.text.count("https://matrix.gov.example/a&b'c") == 2, "escaped, for both"
    assert page.links == 2 * ["https://gov.example/help", "mailto:<help>@gov.example",
                              "https://gov.example/terms"]
    assert "script" not in page.tags and "img" not in page.tags and "link" not in page.tags
    policy = r.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "script-src" not in policy
    [hash_] = re.findall(r"style-src 'sha256-([^']+)'", policy)
    assert base64.b64decode(hash_) == hashlib.sha256(page.style.encode()).digest()


def test_says_nothing_that_is_not_configured(anonymous):
    r = anonymous.http.get("/")
    assert r.status_code == 200
    assert Page(r.text).links == []
    assert "http" not in Page(r.text).text


def test_head_and_other_paths(anonymous):
    r = anonymous.http.head("/")
    assert (r.status_code, r.content) == (200, b"")
    assert int(r.headers["content-length"]) == len(anonymous.http.get("/").content)
    assert anonymous.http.post("/").status_code == 405
    for path in "/index.html", "/_matrix", "/_matrix/", "/x":
        r = anonymous.http.get(path)
        assert (r.status_code, r.json()["errcode"]) == (404, "M_UNRECOGNIZED"), path
