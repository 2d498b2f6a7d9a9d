"""An authorization server on Authlib, for the tests in crates/cli/tests/e2e.

    python server.py

Prints one line of JSON with its ports, then serves until its standard input ends. What the protocol asks for is Authlib's;
ours is what it leaves to an application: whom it knows, what it keeps, and that a spent refresh token ends its grant. It
differs from the servers in e2e/oidc in that its issuer has a path and is described where RFC 8414 says, not OpenID.

A second port is for the test alone: GET /counts, /lifetime/SECONDS, /forget/TOKEN, /approve/CODE and /deny/CODE, as in
e2e/oidc/server.mjs.
"""

import json
import os
import secrets
import sys
import threading
import time

# It is on this machine, so without TLS.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector, current_token
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc6749.util import scope_to_list
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE, DeviceAuthorizationEndpoint, DeviceCodeGrant
from authlib.oauth2.rfc9207.parameter import IssuerParameter
from authlib.oidc.core import OpenIDCode, OpenIDToken
from flask import Flask, jsonify
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import WSGIRequestHandler, make_server

CLIENT = "coderclaw-e2e"
PERSON = "ann@e2e.test"
TENANT = "/tenant"
DESCRIPTION = "/.well-known/oauth-authorization-server" + TENANT

counts = dict(exchanged=0, refreshed=0, refused=0, grantsRevoked=0, described=0, keys=0)
lifetime = 3600
codes, tokens, devices, ended = {}, [], {}, set()
lock = threading.RLock()
key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
app = Flask("authlib-e2e")
server = AuthorizationServer()


class Client(ClientMixin):
    def get_client_id(self):
        return CLIENT

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return " ".join(word for word in scope_to_list(scope or "") if word in ("openid", "email", "offline_access"))

    def check_redirect_uri(self, redirect_uri):
        # Any port on loopback: RFC 8252, section 7.3.
        head, _, path = redirect_uri.removeprefix("http://").partition("/")
        return head.split(":")[0] == "127.0.0.1" and path == "callback"

    def check_client_secret(self, client_secret):
        return False

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "none"

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type in ("authorization_code", "refresh_token", DEVICE_CODE_GRANT_TYPE)


class Kept(dict):
    """A code, a device's code or a token: what Authlib asks about them is in it under its own name."""

    def __getattr__(self, name):
        if name.startswith("get_"):
            return lambda: self.get(name[4:])
        return self.get(name)

    def is_expired(self):
        return self["expires_at"] < time.time()

    def check_client(self, client):
        return client.get_client_id() == CLIENT


class Token(Kept, TokenMixin):
    def get_scope(self):
        return self["scope"]

    def is_revoked(self):
        return self["grant"] in ended or self.get("forgotten", False)


class IdToken:
    def get_client_claims(self, client):
        return {"iss": app.config["ISSUER"], "aud": [CLIENT]}

    def resolve_client_private_key(self, client):
        return key

    def get_encode_header(self, client):
        return {"alg": "RS256", "kid": key.kid}

    def get_client_algorithm(self, client):
        return "RS256"

    def generate_user_info(self, user, scope):
        return {"sub": user, "email": user} if "email" in scope else {"sub": user}


class CodeIdToken(IdToken, OpenIDCode):
    def exists_nonce(self, nonce, request):
        return False


class PlainIdToken(IdToken, OpenIDToken):
    pass


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["none"]

    def save_authorization_code(self, code, request):
        data = request.payload.data
        codes[code] = Kept(
            code=code,
            redirect_uri=request.payload.redirect_uri,
            scope=request.scope,
            user=request.user,
            nonce=data.get("nonce"),
            code_challenge=data.get("code_challenge"),
            code_challenge_method=data.get("code_challenge_method"),
            auth_time=int(time.time()),
            expires_at=time.time() + 60,
        )

    def query_authorization_code(self, code, client):
        found = codes.get(code)
        return found if found and not found.is_expired() else None

    def delete_authorization_code(self, authorization_code):
        codes.pop(authorization_code["code"], None)

    def authenticate_user(self, authorization_code):
        return authorization_code["user"]


class RefreshGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["none"]
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        found = next((one for one in tokens if one.get("refresh_token") == refresh_token), None)
        if found and found.get("spent"):
            # Somebody has a copy: RFC 9700, section 4.14.2.
            end(found["grant"])
        return found if found and found["grant"] not in ended else None

    def authenticate_user(self, refresh_token):
        return refresh_token["user"]

    def revoke_old_credential(self, refresh_token):
        refresh_token["spent"] = True
        tokens[-1]["grant"] = refresh_token["grant"]


class DeviceGrant(DeviceCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["none"]

    def query_device_credential(self, device_code):
        return devices.get(device_code)

    def query_user_grant(self, user_code):
        said = next(one.get("said") for one in devices.values() if one["user_code"] == user_code)
        return None if said is None else (PERSON, said)

    def should_slow_down(self, credential):
        return False


class DeviceEndpoint(DeviceAuthorizationEndpoint):
    CLIENT_AUTH_METHODS = ["none"]
    INTERVAL = 1

    def get_verification_uri(self):
        return app.config["ISSUER"] + "/device"

    def save_device_credential(self, client_id, scope, data):
        devices[data["device_code"]] = Kept(data, client_id=client_id, scope=scope, expires_at=time.time() + 60)


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = ["none"]

    def query_token(self, token_string, token_type_hint):
        names = ("access_token", "refresh_token")
        return next((one for one in tokens if token_string in [one.get(name) for name in names]), None)

    def revoke_token(self, token, request):
        end(token["grant"])


class Bearer(BearerTokenValidator):
    def authenticate_token(self, token_string):
        return next((one for one in tokens if one["access_token"] == token_string), None)


def end(grant):
    if grant not in ended:
        ended.add(grant)
        counts["grantsRevoked"] += 1


def save_token(token, request):
    token["expires_in"] = lifetime
    kept = Token(token, user=request.user, grant=secrets.token_hex(8), expires_at=time.time() + lifetime)
    tokens.append(kept)
    counts["refreshed" if request.payload.grant_type == "refresh_token" else "exchanged"] += 1


require = ResourceProtector()
require.register_token_validator(Bearer())


@app.get(DESCRIPTION)
def description():
    counts["described"] += 1
    at = app.config["ISSUER"]
    data = AuthorizationServerMetadata(
        issuer=at,
        authorization_endpoint=at + "/authorize",
        token_endpoint=at + "/token",
        jwks_uri=at + "/keys",
        userinfo_endpoint=at + "/userinfo",
        revocation_endpoint=at + "/revoke",
        device_authorization_endpoint=at + "/device/code",
        scopes_supported=["openid", "email", "offline_access"],
        response_types_supported=["code"],
        grant_types_supported=["authorization_code", "refresh_token", DEVICE_CODE_GRANT_TYPE],
        token_endpoint_auth_methods_supported=["none"],
        code_challenge_methods_supported=["S256"],
        authorization_response_iss_parameter_supported=True,
    )
    return jsonify(data)


@app.get(TENANT + "/authorize")
def authorize():
    # Whoever comes is logged in and says yes.
    return server.create_authorization_response(grant_user=PERSON, grant=server.get_consent_grant(end_user=PERSON))


@app.post(TENANT + "/token")
def token():
    with lock:
        answer = server.create_token_response()
        waits = b"authorization_pending" in answer.get_data()
        if answer.status_code != 200 and not waits:
            counts["refused"] += 1
        return answer


@app.post(TENANT + "/revoke")
def revoke():
    return server.create_endpoint_response("revocation")


@app.post(TENANT + "/device/code")
def device():
    return server.create_endpoint_response("device_authorization")


@app.get(TENANT + "/keys")
def keys():
    counts["keys"] += 1
    return jsonify(KeySet([key]).as_dict(private=False))


@app.get(TENANT + "/userinfo")
@require()
def userinfo():
    return jsonify(sub=current_token["user"], email=current_token["user"])


admin = Flask("authlib-e2e-admin")


@admin.get("/<what>")
@admin.get("/<what>/<value>")
def ask(what, value=None):
    global lifetime
    if what == "lifetime":
        lifetime = int(value)
    if what == "forget":
        next(one for one in tokens if one["access_token"] == value)["forgotten"] = True
    if what in ("approve", "deny"):
        next(one for one in devices.values() if one["user_code"] == value)["said"] = what == "approve"
    return jsonify(counts)


class Issuer(IssuerParameter):
    def get_issuer(self):
        return app.config["ISSUER"]


class Quiet(WSGIRequestHandler):
    def log(self, *arguments):
        pass


def main():
    app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
    server.init_app(app, query_client=lambda name: Client() if name == CLIENT else None, save_token=save_token)
    server.register_grant(CodeGrant, [CodeChallenge(required=True), CodeIdToken()])
    server.register_grant(RefreshGrant, [PlainIdToken()])
    server.register_grant(DeviceGrant, [PlainIdToken()])
    server.register_endpoint(Revocation)
    server.register_endpoint(DeviceEndpoint(server))
    server.register_extension(Issuer())
    ports = []
    for one in (app, admin):
        listener = make_server("127.0.0.1", 0, one, threaded=True, request_handler=Quiet)
        ports.append(listener.server_port)
        threading.Thread(target=listener.serve_forever, daemon=True).start()
    at = f"http://127.0.0.1:{ports[0]}"
    app.config["ISSUER"] = at + TENANT
    print(json.dumps(dict(port=ports[0], issuer=at + TENANT, admin=ports[1], described=at + DESCRIPTION)), flush=True)
    sys.stdin.read()


main()
