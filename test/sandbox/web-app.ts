// A minimal web app of CADZERO: Clerk's React package around the tested page, as one script.
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The path of the page in the app. */
export const PAGE_PATH = '/cadzero/auth-callback'

// The host in the key receives no requests: proxyUrl overrides it.
const PUBLISHABLE_KEY = `pk_live_${Buffer.from('clerk.sandbox.invalid$').toString('base64')}`

const APP = `
import { ClerkProvider } from '@clerk/react'
import { createElement, StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import AuthCallback from './embed/page/cadzero.auth-callback/route.tsx'

const { origin } = window.location
const clerk = {
  publishableKey: ${JSON.stringify(PUBLISHABLE_KEY)},
  proxyUrl: origin,
  __internal_clerkJSUrl: origin + '/npm/@clerk/clerk-js@6/dist/clerk.browser.js',
  prefetchUI: false,
  signInUrl: '/sign-in',
  signInForceRedirectUrl: '/dashboard',
}
const app = createElement(ClerkProvider, clerk, createElement(AuthCallback))
createRoot(document.getElementById('root')).render(createElement(StrictMode, null, app))
`

export interface WebAppOptions {
  /** The folder of the packages react and react-dom, if they are not those of the repository. */
  readonly reactFolder?: string
}

/** Bundles the app into a script for the browser. */
export async function bundleWebApp({ reactFolder }: WebAppOptions = {}): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: APP, resolveDir: ROOT, loader: 'js' },
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
    jsx: 'automatic',
    ...(reactFolder === undefined
      ? {}
      : { alias: { react: `${reactFolder}/react`, 'react-dom': `${reactFolder}/react-dom` } }),
    define: { 'process.env.NODE_ENV': '"production"', 'import.meta.env': 'globalThis.testEnvironment' },
    logLevel: 'error',
  })
  return String(outputFiles[0]?.text)
}

/** @param settings the variables with which the app would have been built */
export const appHtml = (
  settings: Readonly<Record<string, string>>,
) => `<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>CADZERO</title><link rel="icon" href="data:,">
<style>body{margin:0}</style></head><body><div id="root"></div>
<script>globalThis.testEnvironment = ${JSON.stringify(settings)}</script><script src="/app.js"></script></body></html>`

/**
 * One click signs in and redirects back. The redirect URL is read as Clerk's component reads it: from the fragment that
 * clerk-js writes or from the query, and a forced redirect URL takes precedence.
 */
export const SIGN_IN_HTML = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in</title><link rel="icon" href="data:,">
</head><body><h1>Sandbox sign-in (not Clerk)</h1><form method="post"><button id="sign-in">Sign in</button></form><script>
const params = new URLSearchParams(location.search + '&' + location.hash.replace(/^#\\/?[?]?/, ''))
const back = params.get('sign_in_force_redirect_url') || params.get('redirect_url') || '/dashboard'
document.querySelector('form').action = '/sign-in?redirect_url=' + encodeURIComponent(back)
</script></body></html>`
