// The broker in Express: node express.mjs
import { toNodeHandler } from 'cadzero-auth/broker'
import express from 'express'
import { broker } from './broker.mjs'

const app = express()
app.use(express.json()) // a parser for all routes does no harm: the broker takes the body that it has read
app.use('/api/auth', toNodeHandler(broker, { trustedHops: 0 })) // how many of your proxies are in front of this server
app.get('/', (_request, response) => response.send('the rest of the server'))
app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1')
