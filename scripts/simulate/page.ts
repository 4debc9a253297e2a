// Writes the page about the fleet: what was played, the table, the plot, and what it says.
import { CALLS_PER_RENEWAL, LIMIT, WINDOW } from './clerk.ts'
import { findingsOf, type Result } from './scenarios.ts'
import { type Capacity, count, footnote, lifetimeName, markdownTable } from './table.ts'

export function pageOf(results: readonly Result[], capacities: readonly Capacity[]): string {
  const largest = Math.max(...results.map(({ daemons }) => daemons))
  const found = (way: string, lifetime: number) => {
    const result = results.find((one) => one.way === way && one.lifetime === lifetime && one.daemons === largest)
    if (!result) throw new Error('the page is about a day that was not played')
    return { ...findingsOf(result), ...result }
  }
  const short = found('oauth', 60)
  const long = found('oauth', 86_400)
  const crowd = found('broker', 60)
  const quarter = found('broker', 900)
  const hour = found('broker', 3600)
  const wait = ({ servedAfter }: typeof hour) => (servedAfter === undefined ? 'over an hour' : `${servedAfter} s`)
  const carried = (lifetime: number) => count(capacities.find((one) => one.lifetime === lifetime)?.daemons ?? 0)
  const callsBefore = crowd.day.waited * crowd.oneIn
  const failed = (crowd.errorsBefore + crowd.errorsDuring + crowd.errorsAfter) * crowd.oneIn
  return `<!-- Written by \`npm run simulate -- --write\`. -->

# A fleet, by simulation

\`npm run simulate\` plays a working day of ${count(largest)} daemons on a virtual clock. Each is the real \`Authenticator\` of
\`src/daemon\`: it alone decides when to ask, whom to let wait and how long to stay away. Simulated are the clock, the store (in memory),
the people and Clerk. \`--daemons N\` and \`--seed N\` change the fleet; the same seed gives the same day.

![Refreshes a second over the day, and around the outage](fleet.svg)

${markdownTable(results)}

${footnote(results)?.replace('*', '\\*') ?? ''}

How many daemons, half of them at work, one production instance of Clerk carries through a day without refusing anyone:

| tokens from the broker | daemons |
|---|---:|
${capacities.map(({ lifetime, daemons }) => `| ${lifetimeName(lifetime)} | ${count(daemons)} |`).join('\n')}

## What it says about the token's lifetime

- **An idle daemon costs nothing**, whatever the lifetime: it asks when somebody asks it.
- **60-second tokens cost ${short.perWorkingUser.toFixed(0)} requests a working user a day, one-day tokens ${long.perWorkingUser.toFixed(2)}**; and with 60 seconds ${percent(short.waited)} of all calls
  wait for Clerk, with a day ${percent(long.waited)}. Where a call wants ten seconds of validity, a 60-second token is renewed behind an answer only between
  its 48th and its 50th second: an add-in that asks every half minute mostly comes later, and waits for some 0.3 s.
- **OAuth has no documented limit**, and a fleet with one-day tokens asks for ${count(long.peakSecond)} refreshes a second at the most. It is the choice for
  a large fleet; what it costs is that an access token cannot be taken back for up to a day.
- **The broker with 60-second tokens suffices for some ${carried(60)} daemons**, half of them at work, and no more: each refresh is ${CALLS_PER_RENEWAL} requests to the Backend API, which
  takes ${count(LIMIT)} in ${WINDOW} s. With ${count(largest)}, ${percent(failed / Math.max(1, callsBefore))} of the calls that need Clerk fail. Nobody is signed out by that, but it is no service.
- **The broker with an hour carries ${carried(3600)}, with 15 minutes ${carried(900)}** (\`CADZERO_BROKER_TOKEN_SECONDS=3600\` or 900). The price is that a session
  which is taken back lives on for as long.
- **An outage is felt by whose token ends in it.** Ten minutes of it failed ${count(short.errorsDuring)} calls with 60-second tokens, ${count(hour.errorsDuring)} with an hour, ${count(long.errorsDuring)} with a day.
  By OAuth all are served again within ${Math.max(short.servedAfter ?? 0, long.servedAfter ?? 0)} s of its end. Behind the broker those who waited have to pass the limit: ${wait(hour)} with an hour,
  ${wait(quarter)} with 15 minutes. Nobody had to sign in.
- **They do not come back as one.** ${count(short.day.waiting)} people waited for a 60-second token when the outage ended; the busiest second of the ten minutes after
  it saw ${count(short.peakSecondAfter)} refreshes, and the busiest one before it ${count(short.peakSecondBefore)}. Tokens that
  were renewed together age together: with an hour the plot shows an echo 48 minutes later, a small one.

## What is played

- One time zone. Half of the people work with CADZERO today; the others' daemons run, and are asked for their status alone. People come around
  nine (a deviation of 24 minutes), stay for about eight and a half hours, have lunch and up to three meetings that start on the half-hour, and use
  CADZERO for half an hour at a time with twenty minutes in between. Three machines in five sleep when they are left alone, and at night.
- While it is used, the add-in makes one to three calls at once, each 30 s on average. A call that fails is repeated only by the next.
- Clerk answers after 0.15 to 0.5 s, rotates refresh tokens, and takes the newest alone. Its limit is counted in windows that are the same for
  all, and \`Retry-After\` names the end of the window: how Clerk counts is not documented, and this brings those that were refused back together.
- From 10:30 to 10:40 every refresh fails with a 5xx; the broker says \`Retry-After: 5\`, as it does.
- Fleets without a limit are played some hundred daemons at a time, which comes to the same: they share nothing.

Not in it: the first sign-ins, answers that are lost on their way, networks that are slow to come up after a sleep, several copies of the broker
(they share one limit), and other requests to the same instance of Clerk.

## What must hold

The run ends with exit code 1 where an idle daemon asked for something, a working user's daemon asked more than once a token lifetime of time
at the desk (60-second tokens; 1.25 times where the limit refuses), a token was replaced before four fifths of its life, anybody was signed out, a fleet that fits the limit had calls
fail before the outage or later than 90 s after it, or more than 5 % of those who waited came back in one second after it.
\`npm test\` plays a small fleet.

A program that asks every second all day is renewed every 48 s by a 60-second token: that is what renewing ahead is. The day above is
people's.
`
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`
}
