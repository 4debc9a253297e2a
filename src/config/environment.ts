// The settings that environment variables override.

/** The variable of each setting. Those of a profile apply to the default profile. */
export const VARIABLES: Readonly<Record<string, string>> = {
  defaultProfile: 'CADZERO_AUTH_PROFILE',
  port: 'CADZERO_AUTH_PORT',
  logLevel: 'CADZERO_AUTH_LOG_LEVEL',
  keyProtection: 'CADZERO_AUTH_KEY_PROTECTION',
  issuer: 'CADZERO_AUTH_ISSUER',
  clientId: 'CADZERO_AUTH_CLIENT_ID',
  scopes: 'CADZERO_AUTH_SCOPES',
  redirectPort: 'CADZERO_AUTH_REDIRECT_PORT',
  signInUrl: 'CADZERO_AUTH_SIGN_IN_URL',
  brokerUrl: 'CADZERO_AUTH_BROKER_URL',
}

/** The daemon's settings in the environment, not yet checked. */
export function daemonVariables(env: NodeJS.ProcessEnv): Record<string, unknown> {
  return withoutUnset({
    defaultProfile: env.CADZERO_AUTH_PROFILE,
    port: numberIn(env.CADZERO_AUTH_PORT),
    logLevel: env.CADZERO_AUTH_LOG_LEVEL,
    keyProtection: env.CADZERO_AUTH_KEY_PROTECTION,
  })
}

/** The default profile's settings in the environment, not yet checked. */
export function profileVariables(env: NodeJS.ProcessEnv): Record<string, unknown> {
  return withoutUnset({
    issuer: env.CADZERO_AUTH_ISSUER,
    clientId: env.CADZERO_AUTH_CLIENT_ID,
    scopes: env.CADZERO_AUTH_SCOPES?.split(/[\s,]+/).filter((scope) => scope !== ''),
    redirectPort: numberIn(env.CADZERO_AUTH_REDIRECT_PORT),
    signInUrl: env.CADZERO_AUTH_SIGN_IN_URL,
    brokerUrl: env.CADZERO_AUTH_BROKER_URL,
  })
}

/** An empty variable counts as unset: shells and service files often leave one behind. */
function withoutUnset(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== ''))
}

function numberIn(text: string | undefined): unknown {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : text
}
