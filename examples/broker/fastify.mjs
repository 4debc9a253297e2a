// The broker in Fastify: node fastify.mjs
import { toNodeHandler } from 'cadzero-auth/broker'
import Fastify from 'fastify'
import { broker } from './broker.mjs'

const handleAuth = toNodeHandler(broker, { trustedHops: 0 }) // how many of your proxies are in front of this server

const app = Fastify()
app.register((scope, _options, done) => {
  // In this scope alone, Fastify leaves the body to the broker.
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', (_request, _payload, done) => done(null))
  scope.all('/api/auth/*', (request, reply) => {
    reply.hijack()
    handleAuth(request.raw, reply.raw)
  })
  done()
})
app.get('/', () => 'the rest of the server')
await app.listen({ port: Number(process.env.PORT ?? 3000), host: '127.0.0.1' })
