// Begins. The token of a reset link must not stay in the address, where the
// history and whoever looks over a shoulder would find it: it is taken out
// before anything else happens.
import { keep } from './arrival.js';
import { start } from './router.js';

keep();
start();
