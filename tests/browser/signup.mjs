// The signup page in a real browser: keyboard, screen-reader wiring, contrast, phone widths, no JavaScript.
//   REFLOOP_URL                     base URL of a running server
//   REFLOOP_CODE                    a live referral code, e.g. ALICE2024
//   REFLOOP_CODE_UPPER_BONUS        the bonus as the page words it, e.g. "1,000 credits"
//   REFLOOP_SHOTS                   optional: a directory for screenshots
// It posts the signup form eight times, within the ten an hour that one address has by default.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const LIMIT_SECONDS = 120;
setTimeout(() => {
  console.error(`FAILED: not done within ${LIMIT_SECONDS} s`);
  process.exit(1);
}, LIMIT_SECONDS * 1000).unref();

const setting = (name) => {
  if (process.env[name]) return process.env[name];
  console.error(`${name} is not set`);
  process.exit(1);
};
const origin = new URL(setting('REFLOOP_URL')).origin;
const code = setting('REFLOOP_CODE').toUpperCase();
const bonus = setting('REFLOOP_CODE_UPPER_BONUS');
const shotsDir = process.env.REFLOOP_SHOTS;
const signupUrl = `${origin}/signup`;
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// Each x.example is a registrable domain of its own, so no signup looks like a colleague of another.
const run = randomBytes(5).toString('hex');
const person = (letter) => ({
  name: `Person ${letter.toUpperCase()}`,
  email: `${letter}-${run}@${letter}${run}.example`,
  password: `correct horse ${run}`,
});

let checks = 0;
const faults = new Set();
function check(what, holds, seen) {
  checks += 1;
  if (!holds) throw new Error(seen === undefined ? what : `${what}; saw ${JSON.stringify(seen)}`);
}
const equal = (what, seen, wanted) => check(`${what} is ${JSON.stringify(wanted)}`, seen === wanted, seen);

/** Notes console errors, CSP violations, script errors and requests to other hosts, for the last check. */
function watch(context) {
  context.on('request', (request) => {
    const url = new URL(request.url());
    if (!['data:', 'blob:', 'about:'].includes(url.protocol) && url.origin !== origin) faults.add(`request to ${url.origin}`);
  });
  context.on('console', (message) => {
    // Chromium reports the 4xx answers that this test provokes as errors of the page itself.
    const provoked = message.text().startsWith('Failed to load resource: the server responded with a status of 4')
      && message.location().url.split('?')[0] === signupUrl;
    if (provoked) return;
    if (message.type() === 'error' || /content security policy/i.test(message.text())) faults.add(`console: ${message.text()}`);
  });
  context.on('weberror', (error) => faults.add(`script: ${error.error()}`));
}

async function newContext(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', ...options });
  context.setDefaultTimeout(10_000);
  watch(context);
  return context;
}

/** Runs axe in both colour schemes, looks for sideways scrolling on phones, and takes the screenshots. */
async function inspect(page, label) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(axeSource);
    const { violations } = await page.evaluate(() => globalThis.axe.run({ preload: false, resultTypes: ['violations'] }));
    const bad = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
    check(`axe finds nothing serious on ${label}, ${colorScheme}`, bad.length === 0, bad);
    for (const [device, width, height] of [['desktop', 1280, 900], ['phone', 390, 844]]) {
      if (!shotsDir) continue;
      await page.setViewportSize({ width, height });
      await page.screenshot({ path: join(shotsDir, `${label}-${device}-${colorScheme}.png`), fullPage: true });
    }
  }
  for (const width of [390, 320]) {
    await page.setViewportSize({ width, height: 844 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    check(`${label} does not scroll sideways at ${width} px`, wide <= width, wide);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: 'light' });
}

/** The page as somebody finds it who follows a shared link. */
async function open(page) {
  const response = await page.goto(`${signupUrl}?ref=${code.toLowerCase()}`);
  equal('GET /signup', response.status(), 200);
  const policy = response.headers()['content-security-policy'] ?? '';
  check('the content security policy is strict', policy.includes("default-src 'none'") && !policy.includes('unsafe-'), policy);
  equal('the prefilled code', await page.locator('#referral_code').inputValue(), code);
  const offer = page.getByText(bonus).first();
  check('the bonus is visible', await offer.isVisible());
  check('the bonus names the code', (await offer.locator('xpath=ancestor-or-self::p').innerText()).includes(code));
  const fieldsBefore = await offer.locator('xpath=preceding::input[not(@type="hidden")]').count();
  equal('the number of fields before the bonus', fieldsBefore, 0);
}

/** Walks with the Tab key, so that what the keyboard cannot reach fails here. */
async function tabTo(page, id) {
  for (let step = 0; step < 20; step += 1) {
    await page.keyboard.press('Tab');
    if (await page.locator(':focus').getAttribute('id') !== id) continue;
    const ring = await page.locator(':focus').evaluate((field) => {
      const { outlineStyle, outlineWidth } = getComputedStyle(field);
      return outlineStyle !== 'none' && parseFloat(outlineWidth) > 0;
    });
    return check(`#${id} shows its focus`, ring);
  }
  return check(`#${id} is reached with the Tab key`, false);
}

async function fill(page, { name, email, password }) {
  await page.locator('#name').fill(name);
  await page.locator('#email').fill(email);
  await page.locator('#password').fill(password);
}

/** Does what submits the form and returns the status of the answer. */
async function submit(page, how) {
  const answer = page.waitForResponse((response) => response.request().method() === 'POST' && response.url() === signupUrl);
  await how();
  const response = await answer;
  await page.waitForLoadState();
  return response.status();
}
const press = (page) => () => page.locator('button[type=submit]').click();

/** A field's message: beside it, tied to it, and linked from the summary. */
async function fieldError(page, id) {
  const field = page.locator(`#${id}`);
  equal(`aria-invalid of #${id}`, await field.getAttribute('aria-invalid'), 'true');
  const link = page.locator(`[role=alert] a[href="#${id}"]`);
  equal(`links to #${id} in the summary`, await link.count(), 1);
  const text = (await link.innerText()).trim();
  const described = ((await field.getAttribute('aria-describedby')) ?? '').split(' ').filter(Boolean);
  const notes = await Promise.all(described.map((note) => page.locator(`#${note}`).textContent()));
  const which = notes.findIndex((note) => text !== '' && note.includes(text));
  check(`#${id} is described by its message`, which >= 0, notes);
  const [note, box] = [await page.locator(`#${described[which]}`).boundingBox(), await field.boundingBox()];
  check(`the message of #${id} stands beside it`, note && Math.abs(note.y + note.height - box.y) < 40, { note, box });
}

async function welcome(page) {
  const key = (await page.locator('#api-key').textContent()).trim();
  check('the key is shown', /^bw_live_\S{20,}$/.test(key), key.slice(0, 8));
  check('the page says that the key is shown once', await page.getByText('only time it is shown').isVisible());
  check('the credited bonus is named', await page.getByText(bonus).first().isVisible());
  const command = await page.locator('#first-call').textContent();
  check('the first curl has the key in it', command.startsWith('curl ') && command.includes(key));
  const own = await page.locator('#own-code').textContent();
  check('so has the one for an own code', own.startsWith('curl ') && own.includes(key));
  return { key, command, own };
}

async function csrfOf(page) {
  await page.goto(signupUrl);
  return page.locator('input[name=csrf]').inputValue();
}

async function withScript(browser, bob, carol) {
  const context = await newContext(browser);
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin });
  const page = await context.newPage();
  await open(page);
  await inspect(page, 'signup');

  // A bad e-mail and a short password, by keyboard alone.
  await tabTo(page, 'name');
  await page.keyboard.type(bob.name);
  await tabTo(page, 'email');
  await page.keyboard.type('bob-at-nowhere');
  await tabTo(page, 'password');
  await page.keyboard.type('short');
  const refused = await submit(page, () => page.keyboard.press('Enter'));
  check('bad fields are answered with a 4xx', refused >= 400 && refused < 500, refused);
  await page.locator('[role=alert]:focus').waitFor();
  check('the error summary has the focus', true);
  await fieldError(page, 'email');
  await fieldError(page, 'password');
  equal('fields marked invalid', await page.locator('[aria-invalid=true]').count(), 2);
  equal('the name kept', await page.locator('#name').inputValue(), bob.name);
  equal('the e-mail kept', await page.locator('#email').inputValue(), 'bob-at-nowhere');
  equal('the password', await page.locator('#password').inputValue(), '');
  equal('the code kept', await page.locator('#referral_code').inputValue(), code);
  await inspect(page, 'errors');
  await page.locator('[role=alert]').focus();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  equal('where the first link of the summary leads', await page.locator(':focus').getAttribute('id'), 'email');

  // Mended and sent with two clicks while the answer is slow: one account, and its key.
  let posts = 0;
  await page.route(signupUrl, async (route) => {
    posts += 1;
    await page.waitForTimeout(600);
    await route.continue().catch(() => {});
  });
  await fill(page, bob);
  const reveal = page.getByRole('button', { name: 'Show password' });
  await reveal.click();
  equal('the password field once shown', await page.locator('#password').getAttribute('type'), 'text');
  await reveal.click();
  equal('the password field once hidden', await page.locator('#password').getAttribute('type'), 'password');
  const accepted = await submit(page, async () => {
    const button = page.locator('button[type=submit]');
    await button.scrollIntoViewIfNeeded();
    const { x, y } = await button.boundingBox();
    await page.mouse.click(x + 20, y + 20);
    await page.waitForTimeout(200);
    await page.mouse.click(x + 20, y + 20);
  });
  await page.unroute(signupUrl);
  check('the mended form is accepted', accepted >= 200 && accepted < 400, accepted);
  const { key, command, own } = await welcome(page);
  equal('posts of two clicks', posts, 1);
  for (const [id, text] of [['api-key', key], ['first-call', command], ['own-code', own]]) {
    await page.locator(`[data-copy="#${id}"]`).click();
    await page.locator('#status', { hasText: 'Copied' }).waitFor();
    equal(`the clipboard after copying #${id}`, await page.evaluate(() => navigator.clipboard.readText()) === text, true);
  }
  equal('how the copy is announced', await page.locator('#status').getAttribute('aria-live'), 'polite');
  await page.getByRole('button', { name: 'Copy API key' }).waitFor();
  await inspect(page, 'welcome');

  // The same e-mail again.
  await page.goto(signupUrl);
  await fill(page, bob);
  const taken = await submit(page, press(page));
  check('a taken e-mail is answered with a 4xx', taken >= 400 && taken < 500, taken);
  await fieldError(page, 'email');
  equal('fields marked invalid', await page.locator('[aria-invalid=true]').count(), 1);
  equal('the e-mail kept', await page.locator('#email').inputValue(), bob.email);

  // A wrong token, from the page itself.
  const mine = await csrfOf(page);
  await fill(page, carol);
  await page.locator('input[name=csrf]').evaluate((field) => { field.value = 'wrong'; });
  equal('a wrong CSRF token', await submit(page, press(page)), 403);
  check('the refusal is a page', await page.locator('h1').isVisible());
  await inspect(page, 'refused');
  await context.close();
  return mine;
}

async function foreignForms(browser, carol, foreignToken) {
  const context = await newContext(browser);
  const page = await context.newPage();
  await csrfOf(page);
  const post = (form) => context.request.post(signupUrl, { form, maxRedirects: 0 });
  equal('a form without CSRF token', (await post(carol)).status(), 403);
  equal("a form with another visitor's CSRF token", (await post({ ...carol, csrf: foreignToken })).status(), 403);
  await context.close();
}

/** Also shows that the forms refused before made no account: carol's e-mail is still free. */
async function withoutScript(browser, carol) {
  const context = await newContext(browser, { javaScriptEnabled: false });
  const page = await context.newPage();
  await open(page);
  equal('buttons shown that need JavaScript', await page.locator('[data-reveal]:visible').count(), 0);
  await fill(page, { ...carol, password: 'short' });
  const refused = await submit(page, press(page));
  check('without JavaScript: a short password is a 4xx', refused >= 400 && refused < 500, refused);
  await page.locator('[role=alert]:focus').waitFor();
  check('without JavaScript: the error summary has the focus', true);
  await fieldError(page, 'password');
  equal('without JavaScript: the e-mail kept', await page.locator('#email').inputValue(), carol.email);
  await page.locator('#password').fill(carol.password);
  const accepted = await submit(page, press(page));
  check('without JavaScript: accepted', accepted >= 200 && accepted < 400, accepted);
  await welcome(page);
  equal('copy buttons shown that need JavaScript', await page.locator('[data-copy]:visible').count(), 0);
  await context.close();
}

let browser;
try {
  if (shotsDir) mkdirSync(shotsDir, { recursive: true });
  browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const [bob, carol] = [person('b'), person('c')];
  const token = await withScript(browser, bob, carol);
  await foreignForms(browser, carol, token);
  await withoutScript(browser, carol);
  check('no console error, no CSP violation, no request elsewhere', faults.size === 0, [...faults]);
  await browser.close();
  console.log(JSON.stringify({ ok: true, checks }));
} catch (error) {
  console.error(`FAILED after ${checks} checks: ${error.stack}`);
  if (faults.size) console.error(`noted besides:\n  ${[...faults].join('\n  ')}`);
  await browser?.close().catch(() => {});
  process.exitCode = 1;
}
