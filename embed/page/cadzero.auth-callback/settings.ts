// The page's settings, from the environment in which Vite builds the app. In another bundler, write the values here.

/** The broker's address, such as `https://api.example.com`. It is not taken from the query: the author of a link must not choose it. */
export const BROKER_URL: string = import.meta.env.VITE_CADZERO_BROKER_URL ?? ''

/** The JWT template whose tokens the broker takes, if it has an audience (`CADZERO_BROKER_AUDIENCE`); empty for session tokens. */
export const TOKEN_TEMPLATE: string = import.meta.env.VITE_CADZERO_TOKEN_TEMPLATE ?? ''
