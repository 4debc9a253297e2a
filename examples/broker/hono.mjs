// The broker in Hono: node hono.mjs
import { serve } from '@hono/node-server'
import { getConnInfo } from '@hono/node-server/conninfo'
import { Hono } from 'hono'
import { broker } from './broker.mjs'

const app = new Hono()
// The address of the socket: behind a proxy, take the one that the proxy names instead.
app.all('/api/auth/*', (context) => broker(context.req.raw, { address: getConnInfo(context).remote.address }))
app.get('/', (context) => context.text('the rest of the server'))
serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000), hostname: '127.0.0.1' })
