"""Logs in to Acme AI with a browser, and keeps the login alive.

One JSON object a line comes in on standard input, and one or more go out on standard output. Standard error is a log.
"""

import base64
import hashlib
import http.server
import json
import secrets
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request


class Failed(Exception):
    """A failure by one of the protocol's names, which tell CoderClaw what to do next."""

    def __init__(self, name, message):
        super().__init__(message)
        self.name = name


def say(message):
    print(json.dumps(message), flush=True)


def settings():
    with open("settings.json", encoding="utf-8") as file:
        return json.load(file)


def post(path, fields):
    """One request; never a second one, since a refresh token may be used once only."""
    body = urllib.parse.urlencode({**fields, "client_id": settings()["client_id"]}).encode()
    request = urllib.request.Request(settings()["server"] + path, data=body)
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        if error.code in (400, 401):
            raise Failed("refused", "Acme no longer accepts this login") from error
        raise Failed("try_later", f"Acme answered {error.code}") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, (ConnectionRefusedError, socket.gaierror)):
            raise Failed("offline", "Acme cannot be reached") from error
        raise Failed("unknown", "the connection to Acme was lost") from error


def claims(token):
    """What a JWT says. It came over the connection that it is about, so nobody has to check who signed it."""
    try:
        part = token.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}


def tokens(fields):
    answer = json.loads(post("/oauth/token", fields))
    who = claims(answer.get("id_token", ""))
    return {
        "access": answer["access_token"],
        "refresh": answer.get("refresh_token"),
        "expiresIn": answer.get("expires_in"),
        "subject": who.get("sub"),
        "email": who.get("email"),
    }


def wait_for_code(server, state):
    """The code, from a browser that comes back to this machine."""
    found = {}

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
            if query.get("state") == [state]:
                found.update({name: values[0] for name, values in query.items()})
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            page = b"Go back to your terminal now."
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            pass

    server.RequestHandlerClass = Page
    while not found:
        server.handle_request()
    if "code" not in found:
        raise Failed("denied", found.get("error", "Acme said no"))
    return found["code"]


def login():
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    with http.server.HTTPServer(("127.0.0.1", 0), None) as server:
        redirect = f"http://127.0.0.1:{server.server_port}/callback"
        query = {
            "response_type": "code",
            "client_id": settings()["client_id"],
            "redirect_uri": redirect,
            "scope": "openid email offline_access",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        say({"open": settings()["server"] + "/oauth/authorize?" + urllib.parse.urlencode(query)})
        code = wait_for_code(server, state)
    grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": verifier}
    return tokens(grant)


def refresh(call):
    return tokens({"grant_type": "refresh_token", "refresh_token": call["refresh"]})


def revoke(call):
    post("/oauth/revoke", {"token": call["refresh"], "token_type_hint": "refresh_token"})
    return {}


def main():
    say({"v": [1]})
    for line in sys.stdin:
        call = json.loads(line)
        calls = {"login": lambda _: login(), "refresh": refresh, "revoke": revoke}
        try:
            if call["call"] not in calls:
                raise Failed("unsupported", "")
            say({"ok": calls[call["call"]](call)})
        except Failed as failure:
            say({"error": failure.name, "message": str(failure)})


main()
