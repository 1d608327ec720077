// A certified OpenID provider (npm `oidc-provider`) with a sign-in page and the accounts of a file.
//
//   node server.mjs SETTINGS.json
//
// Its tokens are on purpose not shaped as ours: RSA signatures, roles inside of another claim, names
// of its own for tenant and user, entitlements as a text. Loopback only, everything in memory: for
// tests, not for people.
import { generateKeyPairSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const accounts = new Map(settings.accounts.map((account) => [account.login, account]));
const RESOURCE = 'urn:orion:api';
const MAX_FORM_BYTES = 4096;

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256' };
}

function tokenClaims(account, sid) {
  return {
    org: account.tenant,
    preferred_username: account.login,
    display: account.name,
    team: { desk: account.desk },
    realm_access: { roles: [...account.roles, 'uma_authorization'] },
    limits: JSON.stringify(account.entitlements),
    ...(sid ? { sid } : {}),
  };
}

const provider = new Provider(settings.issuer, {
  clients: settings.clients,
  jwks: { keys: [signingKey()] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  scopes: ['openid', 'profile'],
  claims: { openid: ['sub'], profile: ['name'] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
  ttl: {
    AccessToken: settings.accessTokenSeconds,
    AuthorizationCode: 60,
    ClientCredentials: 300,
    Grant: 28800,
    IdToken: 300,
    Interaction: 600,
    RefreshToken: 3600,
    Session: 28800,
  },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    revocation: { enabled: true },
    backchannelLogout: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => RESOURCE,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'orion',
        audience: 'orion',
        accessTokenTTL: settings.accessTokenSeconds,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  async findAccount(ctx, sub) {
    const account = accounts.get(sub);
    return account && { accountId: sub, claims: async () => ({ sub, name: account.name }) };
  },
  // Our own applications: nobody is asked whether they may know who signs in.
  async loadExistingGrant(ctx) {
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId,
      accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope('openid profile');
    grant.addResourceScope(RESOURCE, 'orion');
    await grant.save();
    return grant;
  },
  async extraTokenClaims(ctx, token) {
    if (token.kind === 'ClientCredentials') {
      const program = accounts.get(token.clientId);
      return program && tokenClaims(program);
    }
    const { AuthorizationCode, RefreshToken } = ctx.oidc.entities;
    return tokenClaims(accounts.get(token.accountId), (AuthorizationCode ?? RefreshToken)?.sid);
  },
});

function page(uid, message) {
  return `<!doctype html><html lang="en"><title>Sign in</title><p>${message}</p>
<form method="post" action="/interaction/${uid}">
<input name="login"><input name="password" type="password"><button>Sign in</button></form></html>`;
}

async function form(request) {
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length > MAX_FORM_BYTES) throw new Error('too long');
    parts.push(part);
  }
  return new URLSearchParams(Buffer.concat(parts).toString('utf8'));
}

function matches(given, wanted) {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}

async function interact(request, response) {
  const { uid } = await provider.interactionDetails(request, response);
  const say = (status, message) =>
    response.writeHead(status, { 'content-type': 'text/html' }).end(page(uid, message));
  if (request.method !== 'POST') return say(200, 'Who are you?');
  const fields = await form(request);
  const login = fields.get('login') ?? '';
  if (!accounts.has(login) || !matches(fields.get('password') ?? '', settings.password)) {
    return say(401, 'User or password is wrong');
  }
  const result = { login: { accountId: login } };
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const callback = provider.callback();
createServer((request, response) => {
  if (!request.url.startsWith('/interaction/')) return callback(request, response);
  return interact(request, response).catch((error) => {
    console.error(error);
    if (!response.headersSent) response.writeHead(400).end('This sign-in cannot go on');
  });
}).listen(settings.port, '127.0.0.1', () => console.log(`ready at ${settings.issuer}`));
