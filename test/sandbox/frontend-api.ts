// Answers of Clerk's Frontend API about an instance, a client and a session: the minimum that clerk-js needs.
import type { User } from './provider.ts'

export interface ClientState {
  readonly user: User
  readonly sessionId: string
  /** Null if the user is not signed in. */
  readonly status: 'active' | 'pending' | null
  readonly token: string
}

const NOW = Date.now()
const WEEK = 7 * 86_400_000 // ms; all of Clerk's times here are in milliseconds

/** @param origin of the web app and its sign-in page */
export function environment(origin: string): unknown {
  return {
    object: 'environment',
    id: '',
    auth_config: { object: 'auth_config', id: 'aconf_sandbox', single_session_mode: true, reverification: false },
    display_config: {
      object: 'display_config',
      id: 'display_config_sandbox',
      instance_environment_type: 'production',
      application_name: 'Sandbox',
      sign_in_url: `${origin}/sign-in`,
      sign_up_url: `${origin}/sign-in`,
      home_url: origin,
      after_sign_in_url: origin,
      after_sign_out_all_url: `${origin}/sign-in`,
      after_sign_out_one_url: `${origin}/sign-in`,
    },
    user_settings: { attributes: {}, social: {}, sign_in: { second_factor: {} }, sign_up: {}, password_settings: {} },
    organization_settings: { enabled: false },
    maintenance_mode: false,
  }
}

export function client(state: ClientState): unknown {
  return {
    object: 'client',
    id: 'client_sandbox',
    sessions: state.status === null ? [] : [session(state)],
    sign_in: null,
    sign_up: null,
    last_active_session_id: state.status === null ? null : state.sessionId,
    cookie_expires_at: null,
    created_at: NOW,
    updated_at: NOW,
  }
}

export function session({ user, sessionId, status, token }: ClientState): unknown {
  const [first = '', ...rest] = user.name.split(' ')
  const names = { first_name: first, last_name: rest.join(' ') }
  const address = { object: 'email_address', id: 'idn_sandbox', email_address: user.email, linked_to: [] }
  return {
    object: 'session',
    id: sessionId,
    status,
    expire_at: NOW + WEEK,
    abandon_at: NOW + 4 * WEEK,
    last_active_at: NOW,
    last_active_token: { object: 'token', jwt: token },
    last_active_organization_id: null,
    actor: null,
    tasks: status === 'pending' ? [{ key: 'choose-organization' }] : [],
    factor_verification_age: [0, -1],
    public_user_data: { ...names, user_id: user.id, identifier: user.email, image_url: '', has_image: false },
    user: {
      object: 'user',
      id: user.id,
      ...names,
      username: null,
      primary_email_address_id: address.id,
      email_addresses: [{ ...address, verification: { object: 'verification', status: 'verified' } }],
      phone_numbers: [],
      web3_wallets: [],
      external_accounts: [],
      enterprise_accounts: [],
      passkeys: [],
      organization_memberships: [],
      image_url: '',
      created_at: NOW,
      updated_at: NOW,
    },
    created_at: NOW,
    updated_at: NOW,
  }
}

/** An error object, the same in all of Clerk's APIs. */
export function error(code: string, message: string): unknown {
  return { errors: [{ code, message, long_message: message }], clerk_trace_id: 'sandbox' }
}
