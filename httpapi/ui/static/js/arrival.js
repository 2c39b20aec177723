// What came in the address and must not stay there.

let resetToken = '';
let issuerAnswer = null;

// keep takes the token of a reset link and the answer of an issuer out of the
// address.
export function keep() {
  const query = new URLSearchParams(location.search);
  if (location.pathname === '/ui/reset-password' && query.has('token')) {
    resetToken = query.get('token');
    history.replaceState(null, '', '/ui/reset-password');
  }
  if (location.pathname === '/ui/login' && query.has('state')) {
    issuerAnswer = query.toString();
    history.replaceState(null, '', '/ui/login');
  }
}

export const heldResetToken = () => resetToken;
export const dropResetToken = () => { resetToken = ''; };

// takeIssuerAnswer returns what the issuer sent along, once.
export function takeIssuerAnswer() {
  const answer = issuerAnswer;
  issuerAnswer = null;
  return answer;
}
