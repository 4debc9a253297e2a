// Why the listener has refused a request, as one word for the log.

export type CallbackRefusal =
  | 'other_user'
  | 'outside_without_state'
  | 'peer_closed'
  | 'wrong_host'
  | 'wrong_method'
  /** Another page has sent the request in the background, as for an image or in a frame. */
  | 'not_a_visit'
  | 'wrong_path'
  | 'wrong_state'
  | 'repeated_parameter'
  | 'interrupted'
  | 'too_large'
  | 'malformed'
  | 'incomplete_request'
  | 'https'
  | 'too_many_connections'
  /** There were more than are logged. */
  | 'further_ones'

const MAX_LOGGED = 100 // a program that sends requests without end must not push everything else out of the log

/** Reports the first refusals, and once that there are more. */
export function limitedReport(report: (refusal: CallbackRefusal) => void): (refusal: CallbackRefusal) => void {
  let reported = 0
  return (refusal) => {
    reported += 1
    if (reported <= MAX_LOGGED) report(refusal)
    else if (reported === MAX_LOGGED + 1) report('further_ones')
  }
}
