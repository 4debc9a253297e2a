// How requests leave this computer: the settings, and what was found out about proxy and certificates. Nothing in it is secret.
import type { ProxyProblem } from './network-failure.ts'

/** `auto`: the environment, then the system. `none`: every connection is direct. Otherwise the URL of a proxy. */
export type ProxySetting = string

export type ProxySource = 'configuration' | 'environment' | 'system'

export type CertificateOrigin = 'node' | 'system' | 'SSL_CERT_FILE' | 'SSL_CERT_DIR' | 'NODE_EXTRA_CA_CERTS' | 'caFile'

export interface CertificateSource {
  readonly origin: CertificateOrigin
  /** The file or folder, if it is one. */
  readonly path?: string
  /** 0 if it cannot be read, or has none. */
  readonly count: number
}

/** The settings of config.json for every connection. */
export interface NetworkSettings {
  readonly proxy: ProxySetting
  /** A file of authorities that are trusted in addition. */
  readonly caFile?: string | undefined
  /** The password for a proxy setting that names a user alone; undefined if there is none. Never throws. */
  readonly proxyPassword?: ((proxy: string) => Promise<string | undefined>) | undefined
}

/** How requests to one URL leave this computer. Nothing in it is secret. */
export interface NetworkView {
  /** Null for a direct connection. */
  readonly proxy: {
    /** Without user and password; null if it is a script (PAC), or no URL. */
    readonly url: string | null
    readonly source: ProxySource
    /** The environment variable that names it. */
    readonly variable?: string
    /** Why it cannot be used. A script is not run: a direct connection is tried. */
    readonly problem?: ProxyProblem
  } | null
  readonly certificates: readonly CertificateSource[]
}

/** What all connections of this process share. */
export interface Network {
  /** Applies the settings of config.json. Call it before the first request. */
  configure(settings: NetworkSettings): void
  /** Returns the proxy and the certificate sources for requests to a URL. */
  describe(url: string | URL): Promise<NetworkView>
}
