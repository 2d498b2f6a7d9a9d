// One authorization server by others, for the tests in crates/cli/tests/e2e.
//
//   node server.mjs oidc-provider|mock [ISSUER]
//
// Prints one line of JSON with its ports, then serves until its standard input ends. Whoever comes to the login page is
// logged in at once as the `login_hint` of the request. ISSUER is the name under which a TLS server in front of this one
// is known; without it the issuer is this server on 127.0.0.1.
//
// A second port is for the test alone: GET /counts says what this server did, POST /lifetime/SECONDS says how long the
// access tokens that it issues from now on live, POST /forget/TOKEN ends an access token and nothing else, POST /approve/CODE
// types in the code of a device login and says yes, POST /spoil/CLAIM/VALUE makes the mock server's tokens say that from now on.

import { randomUUID } from 'node:crypto';
import http from 'node:http';

const [kind, outside] = process.argv.slice(2);
const counts = { exchanged: 0, refreshed: 0, refused: 0, grantsRevoked: 0, described: 0, keys: 0 };
let lifetime = 3600;
let spoilt = {};
let forget = async () => {};
let approve = async () => {};

function noted(grantType) {
  if (grantType !== 'refresh_token') counts.exchanged += 1;
  if (grantType === 'refresh_token') counts.refreshed += 1;
}

const listening = (server) =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));

async function certified() {
  const { default: Provider } = await import('oidc-provider');
  // The issuer holds the port, so the port comes first.
  let handle;
  const server = http.createServer((req, res) => handle(req, res));
  const port = await listening(server);
  const issuer = outside ?? `http://127.0.0.1:${port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'coderclaw-e2e',
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
        response_types: ['code'],
        redirect_uris: ['http://127.0.0.1/callback'],
      },
    ],
    pkce: { required: () => true },
    rotateRefreshToken: true,
    features: { deviceFlow: { enabled: true }, devInteractions: { enabled: false }, revocation: { enabled: true } },
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    findAccount: (_ctx, sub) => ({
      accountId: sub,
      claims: () => ({ sub, email: sub, email_verified: true }),
    }),
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    ttl: {
      AccessToken: () => lifetime,
      AuthorizationCode: 60,
      Grant: 86400,
      IdToken: 3600,
      Interaction: 600,
      RefreshToken: 86400,
      Session: 86400,
    },
    cookies: { keys: ['a key of this test only'] },
  });
  // TLS ends in front of us.
  provider.proxy = outside !== undefined;
  provider.on('grant.success', (ctx) => noted(ctx.oidc.params.grant_type));
  provider.on('grant.error', () => (counts.refused += 1));
  provider.on('grant.revoked', () => (counts.grantsRevoked += 1));
  provider.on('server_error', (_ctx, error) => console.error(error));

  async function answerForThePerson(req, res) {
    const { prompt, params, session, grantId } = await provider.interactionDetails(req, res);
    if (prompt.name === 'login') {
      const login = { accountId: params.login_hint ?? 'ann@e2e.test' };
      return provider.interactionFinished(req, res, { login }, { mergeWithLastSubmission: false });
    }
    const grant = grantId
      ? await provider.Grant.find(grantId)
      : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    const consent = { grantId: await grant.save() };
    return provider.interactionFinished(req, res, { consent }, { mergeWithLastSubmission: true });
  }

  // What this server's own page does once somebody has typed in the code, is logged in and says yes.
  approve = async (userCode) => {
    const code = await provider.DeviceCode.findByUserCode(userCode.replace(/[^a-z0-9]/gi, '').toUpperCase());
    const accountId = 'ann@e2e.test';
    const grant = new provider.Grant({ accountId, clientId: code.clientId });
    grant.addOIDCScope(code.params.scope);
    Object.assign(code, { accountId, scope: code.params.scope, grantId: await grant.save(), authTime: 0 });
    await code.save();
  };

  forget = async (token) => (await provider.AccessToken.find(token)).destroy();

  const serve = provider.callback();
  handle = (req, res) => {
    if (outside) req.headers['x-forwarded-proto'] = 'https';
    if (req.url.startsWith('/.well-known/')) counts.described += 1;
    if (req.url.startsWith('/jwks')) counts.keys += 1;
    if (!req.url.startsWith('/interaction/')) return serve(req, res);
    return answerForThePerson(req, res).catch((error) => {
      console.error(error);
      res.writeHead(500).end();
    });
  };
  return { port, issuer };
}

async function mock() {
  const { OAuth2Server } = await import('oauth2-mock-server');
  const server = new OAuth2Server();
  await server.issuer.keys.generate('RS256');
  await server.start(0, '127.0.0.1');
  const { port } = server.address();
  // By default it calls itself localhost, a name that anybody on the way may explain.
  server.issuer.url = `http://127.0.0.1:${port}`;
  const issued = new Set();
  server.service.on('beforeTokenSigning', (token) => {
    token.payload.exp = token.payload.iat + lifetime;
    Object.assign(token.payload, spoilt);
    // By itself it would make the same token twice in one second.
    token.payload.jti = randomUUID();
  });
  server.service.on('beforeResponse', (response, req) => {
    noted(req.body.grant_type);
    response.body.expires_in = lifetime;
    issued.add(`Bearer ${response.body.access_token}`);
  });
  // By itself it would answer anybody.
  server.service.on('beforeUserinfo', (response, req) => {
    if (!issued.has(req.headers.authorization)) response.statusCode = 401;
  });
  return { port, issuer: server.issuer.url };
}

const servers = { 'oidc-provider': certified, mock };
const { port, issuer } = await servers[kind]();
const admin = await listening(
  http.createServer(async (req, res) => {
    const [, what, value, more] = req.url.split('/');
    if (what === 'lifetime') lifetime = Number(value);
    if (what === 'spoil') spoilt = { [value]: more };
    if (what === 'forget') await forget(value);
    if (what === 'approve') await approve(value);
    res.setHeader('content-type', 'application/json');
    res.end(JSON.stringify(counts));
  }),
);
console.log(JSON.stringify({ port, issuer, admin }));
process.stdin.on('end', () => process.exit(0)).resume();
