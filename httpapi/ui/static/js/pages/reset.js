import { h, put } from '../dom.js';
import { call } from '../api.js';
import * as session from '../session.js';
import { heldResetToken, dropResetToken } from '../arrival.js';
import { form } from '../form.js';
import { heading, link } from '../widgets.js';

export function page() {
  const token = heldResetToken();
  if (!token) {
    return h('div', { class: 'panel' }, heading('New password'),
      h('p', { class: 'box warn' }, 'Open the link of the mail again: the console does not keep its token when a page is left or loaded again.'),
      link('/ui/forgot-password', 'Ask for a new link'));
  }
  const place = h('div', {});
  put(place, form({
    submit: 'Set the password',
    fields: [
      { name: 'new_password', label: 'New password', type: 'password', required: true, autocomplete: 'new-password', maxlength: '128',
        help: '8 characters or more, with an upper-case letter and a digit or symbol.' },
      { name: 'again', label: 'The same again', type: 'password', required: true, autocomplete: 'new-password', maxlength: '128' },
    ],
    run: async (values) => {
      if (values.new_password !== values.again) {
        throw Object.assign(new Error('The passwords differ.'), { code: 'passwords_differ', fields: [{ field: 'again', message: 'is another' }] });
      }
      await call('POST', '/auth/reset-password', { body: { token, new_password: values.new_password }, anonymous: true });
      dropResetToken();
      session.end(); // all sessions have ended
      put(place, h('p', { class: 'box good', role: 'status' }, 'The password is set.'), link('/ui/login', 'Log in'));
    },
  }));
  return h('div', { class: 'panel' }, heading('New password'), place);
}
