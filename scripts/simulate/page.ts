// Writes docs/fleet.md: the simulated day, the table, the plot, and the conclusions.
import { RATE_LIMIT, type RefreshMethod, WINDOW } from './clerk.ts'
import { findingsOf, type Result } from './scenarios.ts'
import { type Capacity, count, footnote, lifetimeName, markdownTable } from './table.ts'

export function pageOf(results: readonly Result[], capacities: readonly Capacity[]): string {
  const largest = Math.max(...results.map(({ daemons }) => daemons))
  const find = (method: RefreshMethod, lifetime: number) => {
    const result = results.find((one) => one.method === method && one.lifetime === lifetime && one.daemons === largest)
    if (!result) throw new Error(`no day was simulated with ${method} and a lifetime of ${lifetime} s`)
    return { ...findingsOf(result), ...result }
  }
  const minute = find('oauth', 60)
  const day = find('oauth', 86_400)
  const brokerMinute = find('broker', 60)
  const brokerQuarter = find('broker', 900)
  const brokerHour = find('broker', 3600)
  const served = ({ servedAfter }: typeof day) => (servedAfter === undefined ? 'over an hour' : `${servedAfter} s`)
  const supported = (lifetime: number) => count(capacities.find((one) => one.lifetime === lifetime)?.daemons ?? 0)
  const { errorsBefore, errorsDuring, errorsAfter } = brokerMinute
  const failedShare = (errorsBefore + errorsDuring + errorsAfter) / Math.max(1, brokerMinute.day.waitedCalls)
  const command = `npm run simulate -- --daemons ${largest}`
  return `<!-- Written by \`${command} --write\`. -->

# A fleet, by simulation

\`${command}\` simulates a working day of ${count(largest)} daemons on a virtual clock. Each daemon is the real \`Authenticator\` of
\`src/session\`, which alone decides when to refresh, which calls wait and how long to back off. The clock, the store (in memory), the users
and Clerk are models. \`--daemons N\` and \`--seed N\` change the fleet; the same seed gives the same day.

![Refreshes per second over the day, and around the outage](fleet.svg)

${markdownTable(results)}

${footnote(results)?.replace('*', '\\*') ?? ''}

One production instance of Clerk supports this many daemons through a day without an outage, with no request rate-limited, if half of the users work:

| tokens from the broker | daemons |
|---|---:|
${capacities.map(({ lifetime, daemons }) => `| ${lifetimeName(lifetime)} | ${count(daemons)} |`).join('\n')}

## What follows for the token lifetime

- **An idle daemon sends no requests**, whatever the lifetime: a daemon refreshes only when a client asks for a header.
- **60-second tokens take ${minute.perWorkingUser.toFixed(0)} requests per working user a day, one-day tokens ${day.perWorkingUser.toFixed(2)}.** With 60 seconds, ${percent(minute.waitedShare)} of all calls
  wait for Clerk; with one day, ${percent(day.waitedShare)}. A call asks for ten seconds of validity, so the daemon can refresh a 60-second token in the background
  only between its 48th and its 50th second. An add-in that calls every half minute usually misses that interval, and waits for about 0.3 s.
- **OAuth has no documented rate limit**, and a fleet with one-day tokens needs at most ${count(day.peak)} refreshes per second. Choose it for
  a large fleet. The price: an access token cannot be revoked before it expires, up to a day later.
- **The broker with 60-second tokens supports about ${supported(60)} daemons**, if half of their users work, and no more: each refresh takes one request to the Backend API, and once an hour a second one. It
  allows ${count(RATE_LIMIT)} in ${WINDOW} s. With ${count(largest)} daemons, ${percent(failedShare)} of the calls that need Clerk fail. All sessions are kept, but users cannot rely on the service.
- **The broker supports ${supported(900)} daemons with 15-minute tokens and ${supported(3600)} with one-hour tokens** (\`CADZERO_BROKER_TOKEN_SECONDS=900\` or \`3600\`). The price: after a
  session is revoked, its token stays valid for up to that long.
- **An outage affects the users whose token expires during it.** In ten minutes, ${count(minute.errorsDuring)} calls failed with 60-second tokens, ${count(brokerHour.errorsDuring)} with one-hour tokens and ${count(day.errorsDuring)} with one-day tokens.
  With OAuth all users are served again ${Math.max(minute.servedAfter ?? 0, day.servedAfter ?? 0)} s after its end at the latest. With the broker, the waiting users share the rate limit: it takes ${served(brokerHour)} with one-hour tokens and
  ${served(brokerQuarter)} with 15-minute tokens. No user had to sign in again.
- **The daemons do not return as a herd.** ${count(minute.day.waitingUsers)} users waited for a 60-second token when the outage ended. The busiest second of the next ten minutes
  had ${count(minute.peakAfter)} refreshes; the busiest second before the outage had ${count(minute.peakBefore)}. Tokens that
  were refreshed together expire together: with one hour, the plot shows a small echo 48 minutes later.

## What is simulated

- One time zone. Half of the users work with CADZERO; for the others the daemon runs, and a client only reads its status. Users arrive at about
  nine (standard deviation 24 minutes), stay for about eight and a half hours, have lunch and up to three meetings that start on the half-hour, and use
  CADZERO for half an hour at a time with twenty minutes in between. Three machines in five sleep when they are not used, and all sleep at night.
- While CADZERO is used, the add-in makes one to three calls at once, every 30 s on average. It does not retry: the next call is the retry.
- Clerk responds after 0.15 to 0.5 s, rotates refresh tokens, and accepts only the newest one. All users share its fixed rate-limit windows, and
  \`Retry-After\` names the end of the window. Clerk does not document how it counts; this way, rate-limited daemons retry at the same time.
- From 10:30 to 10:40 every refresh fails with a 5xx status; the broker then sends \`Retry-After: 5\`, as the real one does.
- Fleets without a rate limit are simulated in batches of some hundred daemons, with the same result: these daemons share nothing.

Not simulated: first sign-ins, lost responses, networks that come up late after sleep, several copies of the broker
(they share one rate limit), and other requests to the same instance of Clerk.

## Conditions

The run ends with exit code 1 if one of these conditions is violated:

- An idle daemon sends no request.
- With 60-second tokens, the daemon of a working user sends at most one request per token lifetime at the desk (1.25 if it is rate-limited).
- A daemon does not replace a token before four fifths of its lifetime.
- No user is signed out.
- In a fleet within the rate limit, no call fails before the outage, or later than 90 s after it.
- At most 5 % of the waiting users return in the same second after the outage.

\`npm run test:long\` simulates a small fleet.

A program that calls every second all day causes a refresh every 48 s with 60-second tokens, because the daemon refreshes ahead of expiry. The
simulated users do not behave like that.
`
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`
}
