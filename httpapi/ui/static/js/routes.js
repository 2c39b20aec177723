// The pages by their addresses below /ui/. A segment that begins with a colon
// stands for any; one with a question mark may be missing. The server has the
// same table (ui.go): who changes one changes the other.
export const routes = [
  { at: '', page: 'overview', title: 'Overview', menu: 'Overview' },
  { at: 'login', page: 'login', title: 'Log in', open: true },
  { at: 'forgot-password', page: 'forgot', title: 'Forgotten password', open: true },
  { at: 'reset-password', page: 'reset', title: 'New password', open: true },
  { at: 'packages', page: 'packages', title: 'Packages', menu: 'Packages' },
  { at: 'packages/:name', page: 'package', title: 'Package' },
  { at: 'packages/:name/:version', page: 'artifact', title: 'Version' },
  { at: 'upload', page: 'upload', title: 'Upload', menu: 'Upload', role: 'uploader' },
  { at: 'distributions', page: 'distributions', title: 'Distributions', menu: 'Distributions' },
  { at: 'distributions/:codename', page: 'distribution', title: 'Distribution' },
  { at: 'imports/:tab?', page: 'imports', title: 'Imports', menu: 'Imports' },
  { at: 'security/:tab?', page: 'security', title: 'Security', menu: 'Security' },
  { at: 'downloads', page: 'downloads', title: 'Downloads', menu: 'Downloads' },
  { at: 'jobs/:id?', page: 'jobs', title: 'Jobs', menu: 'Jobs' },
  { at: 'audit', page: 'audit', title: 'Audit log', menu: 'Audit log', role: 'auditor' },
  { at: 'users', page: 'users', title: 'Users', menu: 'Users', role: 'admin' },
  { at: 'tokens', page: 'tokens', title: 'Tokens', menu: 'Tokens', role: 'admin' },
  { at: 'keys', page: 'keys', title: 'Signing keys', menu: 'Signing keys', role: 'admin' },
  { at: 'settings/:section?', page: 'settings', title: 'Settings', menu: 'Settings', role: 'admin' },
  { at: 'account', page: 'account', title: 'Your account' },
];
