#!/usr/bin/env python3
"""Lets sidetone hear a channel that Asterisk has already, by ARI; for who has no hand in the dialplan.

    ari_tap.py --channel 1795778262.0 --party caller --subject alice --consent customer-file

taps the channel with that unique id (`core show channels concise`, last column) until it ends, or until the tap is
stopped by a signal. A snoop channel carries what the party says, a second channel calls the endpoint PJSIP/sidetone with
the headers that extensions_sidetone.conf tells of, and a bridge joins the two. ARI's externalMedia is not used: it is RTP
without SIP, and so without headers, keys and an end.

Needs ari_sidetone.conf and http_sidetone.conf, and no package of Python's. Exit codes: 0 the channel ended, 1 it
cannot be tapped, 2 bad use.
"""

import argparse
import base64
import json
import os
import signal
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request


class Ari:
    """Requests by HTTP, and events by a WebSocket (RFC 6455), of which nothing but text is wanted."""

    def __init__(self, address, user, password, app):
        self.address, self.app = address, app
        self.authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.events = self.socket.makefile("rb")
        self.socket.sendall((
            f"GET /ari/events?app={app} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {self.authorization}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n").encode())
        status = self.events.readline().decode().strip()
        if " 101 " not in status:
            raise OSError(f"ARI at {address} was to open a WebSocket, and said {status!r}")
        while self.events.readline().strip():
            pass
        self.socket.settimeout(None)

    def request(self, method, path, body=None, **query):
        url = f"http://{self.address}/ari/{path}?{urllib.parse.urlencode(query)}"
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": self.authorization, "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def next(self):
        """The next event; None when there will be no more."""
        while head := self.events.read(2):
            length = head[1] & 0x7F
            if length >= 126:
                length = int.from_bytes(self.events.read(2 if length == 126 else 8), "big")
            payload = self.events.read(length)
            if head[0] & 0x0F == 9:
                # A ping; its pong is masked, by zeros.
                self.socket.sendall(bytes([0x8A, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
            elif head[0] & 0x0F == 1:
                return json.loads(payload)
        return None

    def wait_until_in(self, *channels):
        """A bridge takes channels of the application alone, and they come into it a moment after they were made."""
        self.socket.settimeout(10)
        waiting = set(channels)
        while waiting:
            event = self.next()
            if event is None:
                raise OSError("ARI closed the connection")
            if event["type"] == "StasisStart":
                waiting.discard(event["channel"]["id"])
        self.socket.settimeout(None)


def tap(ari, arguments):
    """Taps until one of the two channels ends; returns the ids of what is to be taken away."""
    channel = urllib.parse.quote(arguments.channel, safe="")
    variable = lambda name: ari.request("GET", f"channels/{channel}/variable", variable=name)["value"]
    headers = {
        "Conversation": variable("CHANNEL(linkedid)"),
        "Party": arguments.party,
        "Channel": variable("CHANNEL(name)"),
        "Subject": arguments.subject,
        "Consent": arguments.consent,
        "Queue": arguments.queue,
    }
    variables = {f"PJSIP_HEADER(add,X-Sidetone-{name})": value for name, value in headers.items() if value}
    # Both, where it is mixed: what the channel hears is what the other party says.
    snoop = ari.request("POST", f"channels/{channel}/snoop", app=ari.app,
                        spy="both" if arguments.party == "mixed" else "in")["id"]
    made = [("channels", snoop)]
    try:
        bridge = ari.request("POST", "bridges", type="mixing")["id"]
        made.append(("bridges", bridge))
        call = ari.request("POST", "channels/create", body={"variables": variables},
                           endpoint=arguments.endpoint, app=ari.app)["id"]
        made.append(("channels", call))
        ari.wait_until_in(snoop, call)
        ari.request("POST", f"bridges/{bridge}/addChannel", channel=f"{snoop},{call}")
        ari.request("POST", f"channels/{call}/dial", timeout=10)
        while event := ari.next():
            over = event["type"] in ("StasisEnd", "ChannelDestroyed")
            if over and event["channel"]["id"] in (snoop, call):
                break
    finally:
        for kind, name in made:
            try:
                ari.request("DELETE", f"{kind}/{name}")
            except urllib.error.HTTPError:
                pass  # It has ended by itself.


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channel", required=True, help="unique id of the channel to be tapped")
    parser.add_argument("--party", required=True, choices=["caller", "agent", "mixed"], help="whose it is")
    parser.add_argument("--subject", help="whom the caller claims to be, as enrolled")
    parser.add_argument("--consent", help="reference of the caller's consent to be compared")
    parser.add_argument("--queue", help="the queue that the call came through")
    parser.add_argument("--endpoint", default="PJSIP/sidetone", help="sidetone in pjsip.conf")
    parser.add_argument("--ari", default="127.0.0.1:8088", help="where ARI answers")
    parser.add_argument("--user", default="sidetone", help="of ari.conf")
    parser.add_argument("--password-file", default="/etc/sidetone/ari.password", help="its first line is the password")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with open(arguments.password_file, encoding="utf-8") as file:
            password = file.readline().strip()
    except OSError as error:
        parser.error(str(error))
    try:
        tap(Ari(arguments.ari, arguments.user, password, f"sidetone-tap-{os.getpid()}"), arguments)
    except OSError as error:
        # An answer of ARI's is one of them.
        print(f"ari_tap.py: {arguments.channel} cannot be tapped: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
