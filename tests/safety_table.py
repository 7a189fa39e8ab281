"""What is tried against the guard, as data: `tests/test_safety*.py` try it, `docs/safety.md` lists it.

``python -m tests.safety_table`` prints the tables of that page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ("ADDRESSES", "FILES", "LEADS", "WAYS_IN", "Try", "tables")

REFUSED: Final = "refused, nothing sent"
NO_URL: Final = "refused: no valid URL"


class Try(NamedTuple):
    """What is tried, how that looks (the host of a link, or where it leads), and what it gets."""

    what: str
    text: str
    got: str = REFUSED


# Hosts of links; each is tried directly and with a proxy, which would resolve what we do not.
ADDRESSES: Final = (
    Try("this machine", "127.0.0.1"),
    Try("this machine, other addresses of it", "127.9.8.7"),
    Try("any address", "0.0.0.0"),
    Try("short", "127.1"),
    Try("shorter", "0"),
    Try("one decimal number", "2130706433"),
    Try("one hexadecimal number", "0x7f000001"),
    Try("hexadecimal parts", "0x7f.0x0.0.1"),
    Try("one octal number", "017700000001"),
    Try("octal parts", "0177.0.0.01"),
    Try("a dot behind it", "127.0.0.1."),
    Try("wide digits", "\uff11\uff12\uff17.0.0.1"),
    Try("digits in circles, wide dots", "\u2460\u2461\u2466\u30020\u30020\uff0e\u2460"),
    Try("private networks", "10.0.0.1"),
    Try("", "172.16.0.1"),
    Try("", "192.168.1.5"),
    Try("link-local: metadata of clouds", "169.254.169.254"),
    Try("carrier-grade NAT", "100.64.0.1"),
    Try("benchmarks, and the false addresses of some proxies", "198.18.0.7"),
    Try("multicast, reserved, broadcast", "224.0.0.1"),
    Try("", "240.0.0.1"),
    Try("", "255.255.255.255"),
    Try("IPv6: this machine, any, long", "[::1]"),
    Try("", "[::]"),
    Try("", "[0000:0:0:0:0:0:0:1]"),
    Try("IPv6: link-local, with zones", "[fe80::1]"),
    Try("", "[fe80::1%25eth0]"),
    Try("", "[::1%25lo]"),
    Try("IPv6: unique and site-local, multicast", "[fd00::1]"),
    Try("", "[fec0::1]"),
    Try("", "[ff02::1]"),
    Try("IPv4 in IPv6: mapped", "[::ffff:127.0.0.1]"),
    Try("", "[::ffff:a9fe:a9fe]"),
    Try("IPv4 in IPv6: compatible, translated", "[::127.0.0.1]"),
    Try("", "[::ffff:0:127.0.0.1]"),
    Try("IPv4 in IPv6: NAT64", "[64:ff9b::7f00:1]"),
    Try("", "[64:ff9b:1::7f00:1]"),
    Try("IPv4 in IPv6: 6to4, Teredo, ISATAP", "[2002:7f00:1::]"),
    Try("", "[2001:0:7f00:1::1]"),
    Try("", "[fe80::5efe:127.0.0.1]"),
    Try("documentation, discard", "[2001:db8::1]"),
    Try("", "[3fff::1]"),
    Try("", "[100::1]"),
    Try("names of this machine", "localhost"),
    Try("", "LOCALHOST."),
    Try("", "a.localhost"),
    Try("", "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3"),
    Try("names that only a private network has", "intranet"),
    Try("", "nas.local"),
    Try("", "metadata.google.internal"),
    Try("a user in front", "pictures.example@127.0.0.1"),
    Try("", "127.0.0.1:80@127.0.0.1"),
    Try("a zero, a space, a backslash", "127.0.0.1%00.example", NO_URL),
    Try("", "127.0.0.1 .example", NO_URL),
    Try("", "127.0.0.1\\@pictures.example", NO_URL),
)

# What a public link leads to.
LEADS: Final = (
    Try("a name that means a private address", "http://inside.example/"),
    Try("a name with a public and a private address", "http://half.example/"),
    Try("a name that is public when it is asked for first, private when it is connected to", "http://rebind.example/"),
    Try("a redirect to this machine", "-> http://127.0.0.1/"),
    Try("a redirect without a scheme", "-> //[::1]/"),
    Try("a redirect to a name that means a private address", "-> http://inside.example/"),
    Try("a redirect that turns at the second step", "-> http://pictures.example/ -> http://127.0.0.1/"),
    Try("a redirect to another scheme", "-> file:///etc/passwd", "refused: only http and https"),
    Try("", "-> ftp://pictures.example/", "refused: only http and https"),
    Try("", "-> gopher://pictures.example/", "refused: only http and https"),
    Try("", "-> data:image/png;base64,AA==", "refused: only http and https"),
    Try("redirects without end", "-> -> -> ->", "given up after five"),
    Try("a cookie for the next request", "Set-Cookie", "not kept"),
    Try("a body without end", "200 OK ...", "given up at the limit of bytes"),
    Try("a body that is larger unpacked", "Content-Encoding: gzip", "counted unpacked, given up likewise"),
)

# Where a stranger's address can come in. Tried with a name that means a private address.
WAYS_IN: Final = (
    Try("a picture's link, fetched here", "image(url, download=True)"),
    Try("a picture's link that the platform could not fetch", "image(url)"),
    Try("a voice's link, likewise", "voice(url)"),
    Try("a video's link, likewise", "video(url)"),
    Try("a file's link, likewise", "file(url)"),
    Try("the look at a URL that the platform could not fetch", "the warning in the log"),
    Try("a link in markdown", "markdown_content('![x](url)')"),
    Try("a link in markdown that the platform could not show", "the same, after 40034141"),
    Try("what somebody sent", "attachment.download()"),
    Try("a link for the media host alone", "host.get_image(url)"),
    Try("where the platform wants parts", "presigned_url of an upload"),
    Try("where the platform wants pictures of markdown", "presigned_url of its store"),
)

# Files that name another file or address, given as voice and as video.
FILES: Final = (
    Try("m3u8", "#EXTM3U ... http://127.0.0.1/", "refused: a playlist"),
    Try("m3u8 with a local file", "#EXTM3U ... /etc/passwd", "refused: a playlist"),
    Try("ffconcat", "ffconcat version 1.0 / file http://127.0.0.1/", "refused: a playlist"),
    Try("DASH", "<MPD> ... <BaseURL>http://127.0.0.1/", "refused: a playlist"),
    Try("SDP", "m=audio 9 RTP/AVP 0", "refused: a playlist"),
    Try("m3u8 behind the head of an mkv", "1A 45 DF A3 ... #EXTM3U", "refused, or sent as it is; nothing opened"),
    Try("m3u8 behind an ID3 tag", "ID3 ... #EXTM3U", "refused, or sent as it is; nothing opened"),
    Try("mov whose pictures are elsewhere", "dref: url http://127.0.0.1/", "not followed; nothing opened"),
    Try("mkv with a file attached", "Attachments: x.ttf", "the attachment is dropped where it is made anew"),
    Try("a path that looks like a protocol", "concat:a|b, subfile:..., http:x.mp4", "taken for a file's name"),
    Try("SVG as a picture", "<!ENTITY x SYSTEM 'file:///etc/passwd'>", "refused: no picture; no XML is read"),
    Try("PostScript, PDF as a picture", "%!PS", "refused: no picture; no program is run"),
)


def tables() -> str:
    """Return the tables of the page."""
    return "\n\n".join(
        (
            _table(("host of the link", ""), ADDRESSES),
            _table(("what a public link leads to", ""), LEADS),
            _table(("where it comes in", ""), WAYS_IN),
            _table(("file", "what is in it"), FILES),
        )
    )


def _table(heads: tuple[str, str], rows: Sequence[Try]) -> str:
    lines = [f"| {heads[0]} | {heads[1]} | got |", "|---|---|---|"]
    for row in rows:
        text = row.text.replace("|", "\\|")
        lines.append(f"| {row.what} | `{text}` | {row.got} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(tables())
