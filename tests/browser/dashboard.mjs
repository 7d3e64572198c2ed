// The dashboard in a real browser: how it looks and reads, with much and with nothing on it, with and without
// JavaScript; and the five steps from a shared link to a commission.
//   REFLOOP_URL           a running server whose default project has Alice with a history (alice@alice.example)
//   REFLOOP_MARKET_URL    the same server at the host of a test project with the preset `commission`, with Alice too
//   REFLOOP_MARKET_KEY    a gateway key of that project with every scope
//   REFLOOP_PASSWORD      everybody's password
//   REFLOOP_SHOTS         optional: a directory for screenshots
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const LIMIT_SECONDS = 480;
setTimeout(() => {
  console.error(`FAILED: not done within ${LIMIT_SECONDS} s`);
  process.exit(1);
}, LIMIT_SECONDS * 1000).unref();

const setting = (name) => {
  if (process.env[name]) return process.env[name];
  console.error(`${name} is not set`);
  process.exit(1);
};
const home = new URL(setting('REFLOOP_URL')).origin;
const market = new URL(setting('REFLOOP_MARKET_URL')).origin;
const marketKey = setting('REFLOOP_MARKET_KEY');
const password = setting('REFLOOP_PASSWORD');
const shotsDir = process.env.REFLOOP_SHOTS;
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const run = randomBytes(4).toString('hex');

let checks = 0;
const faults = new Set();
function check(what, holds, seen) {
  checks += 1;
  if (!holds) throw new Error(seen === undefined ? what : `${what}; saw ${JSON.stringify(seen)}`);
}
const equal = (what, seen, wanted) => check(`${what} is ${JSON.stringify(wanted)}`, seen === wanted, seen);

/** Notes console errors, CSP violations, script errors, requests to other hosts and shifts of the layout. */
function watch(context) {
  context.on('request', (request) => {
    const url = new URL(request.url());
    if (!['data:', 'blob:', 'about:'].includes(url.protocol) && ![home, market].includes(url.origin)) {
      faults.add(`request to ${url.origin}`);
    }
  });
  context.on('console', (message) => {
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
      await page.screenshot({ path: join(shotsDir, `dashboard-${label}-${device}-${colorScheme}.png`), fullPage: true });
    }
  }
  for (const width of [390, 320]) {
    await page.setViewportSize({ width, height: 844 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    check(`${label} does not scroll sideways at ${width} px`, wide <= width, wide);
    const broken = await page.evaluate(() => [...document.querySelectorAll('.stack .a .who, .people .who, #own-link')]
      .filter((it) => it.offsetHeight > 1.9 * parseFloat(getComputedStyle(it).fontSize)).map((it) => it.textContent));
    check(`no address or link of ${label} is broken into lines at ${width} px`, broken.length === 0, broken);
  }
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => globalThis.axe.run({ preload: false, resultTypes: ['violations'] }));
  const bad = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id }) => id);
  check(`axe finds nothing serious on ${label} on a phone`, bad.length === 0, bad);
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: 'light' });
}

async function signIn(page, origin, email) {
  await page.goto(`${origin}/login`);
  await page.locator('#email').fill(email);
  await page.locator('#password').fill(password);
  await page.locator('main button[type=submit]').click();
  await page.waitForURL(`${origin}/dashboard`);
}

/** Opens a page of the dashboard and measures how much moved while it came. */
async function open(page, url) {
  const response = await page.goto(url);
  equal(`GET ${url}`, response.status(), 200);
  const policy = response.headers()['content-security-policy'] ?? '';
  check('the content security policy is strict', policy.includes("default-src 'none'") && !policy.includes('unsafe-'), policy);
  await page.waitForLoadState('load');
  const shift = await page.evaluate(() => new Promise((resolve) => {
    let sum = 0;
    new PerformanceObserver((list) => { for (const { value } of list.getEntries()) sum += value; })
      .observe({ type: 'layout-shift', buffered: true });
    requestAnimationFrame(() => requestAnimationFrame(() => resolve(sum)));
  }));
  check(`nothing on ${url} moves while it loads`, shift < 0.01, shift);
}

const PAGES = [['overview', '/dashboard'], ['referrals', '/dashboard/referrals'], ['ledger', '/dashboard/ledger'], ['keys', '/dashboard/keys']];

async function look(browser, origin, email, label) {
  const context = await newContext(browser);
  const page = await context.newPage();
  await signIn(page, origin, email);
  for (const [name, path] of PAGES) {
    await open(page, origin + path);
    equal('headings of the first level', await page.locator('h1').count(), 1);
    await inspect(page, `${label}-${name}`);
  }
  return { context, page };
}

/** What is only there with JavaScript: copying, and reading the charts with a pointer. */
async function enhancements(context, page) {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: home });
  await open(page, `${home}/dashboard`);
  for (const id of ['own-link', 'own-code']) {
    await page.locator(`[data-copy="#${id}"]`).click();
    await page.locator('#status', { hasText: 'Copied' }).waitFor();
    equal(`the clipboard after copying #${id}`, await page.evaluate(() => navigator.clipboard.readText()), await page.locator(`#${id}`).textContent());
  }
  await page.locator('.figures summary').click();
  const rows = page.locator('#series tbody tr');
  const count = await rows.count();
  const canvases = page.locator('.canvas');
  equal('the number of charts', await canvases.count(), 4);
  for (const column of [1, 3]) {
    const canvas = canvases.nth(column);
    await canvas.scrollIntoViewIfNeeded();
    const box = await canvas.boundingBox();
    for (const [share, row] of [[0.001, count - 1], [0.999, 0]]) {
      await page.mouse.move(box.x + box.width * share, box.y + 40);
      const said = await canvas.locator('.readout').innerText();
      const [day, value] = [await rows.nth(row).locator('th').innerText(), await rows.nth(row).locator('td').nth(column).innerText()];
      equal('what the chart reads out', said.replace(/\s+/g, ' ').trim(), `${day} ${value}`.replace(/\s+/g, ' '));
    }
  }
  if (shotsDir) {
    const canvas = canvases.nth(3);
    const box = await canvas.boundingBox();
    await page.mouse.move(box.x + box.width * 0.7, box.y + 40);
    await page.screenshot({ path: join(shotsDir, 'dashboard-readout.png') });
  }
  await page.mouse.move(0, 0);
  equal('read-outs once the pointer is gone', await page.locator('.readout:visible').count(), 0);
  await open(page, `${home}/dashboard?days=90`);
  await inspect(page, 'full-90-days');
  for (const days of [7, 365]) {
    await open(page, `${home}/dashboard?days=${days}`);
    equal('the period that is marked', await page.locator('.seg [aria-current]').getAttribute('href'), `/dashboard?days=${days}#activity`);
    if (shotsDir) await page.locator('#activity').screenshot({ path: join(shotsDir, `dashboard-activity-${days}-days.png`) });
  }
  await byKeyboard(page);
}

/** Everything that can be pressed is reached with the Tab key, and shows it. */
async function byKeyboard(page) {
  await open(page, `${home}/dashboard`);
  const wanted = await page.locator('a[href]:visible, button:visible, summary:visible, [tabindex="0"]:visible').count();
  const reached = new Set();
  for (let step = 0; step < wanted + 5; step += 1) {
    await page.keyboard.press('Tab');
    const focus = page.locator(':focus');
    if (await focus.count() === 0) break;
    const { name, ring, inside } = await focus.evaluate((it) => {
      const { outlineStyle, outlineWidth } = getComputedStyle(it);
      const box = it.getBoundingClientRect();
      return {
        name: `${it.tagName} ${it.textContent.trim().slice(0, 40)} ${it.getAttribute('href') ?? ''}`,
        ring: outlineStyle !== 'none' && parseFloat(outlineWidth) > 0,
        inside: box.top >= 0 && box.bottom <= innerHeight && box.width > 0,
      };
    });
    if (reached.has(name)) break;
    reached.add(name);
    check(`${name} shows that it has the focus`, ring && inside, { ring, inside });
  }
  check('the skip link comes first', [...reached][0]?.startsWith('A Skip'), [...reached]);
  check('what can be pressed is reached by keyboard', reached.size >= wanted - 3, { wanted, reached: [...reached] });
}

/** Someone new: every page says what to do next. */
async function emptyStates(browser) {
  const context = await newContext(browser);
  const page = await context.newPage();
  const email = `new-${run}@new${run}.example`;
  await signUp(page, home, 'Newcomer', email);
  await leaveWelcome(page, home, email);
  for (const [name, path] of PAGES) {
    await open(page, home + path);
    await inspect(page, `empty-${name}`);
  }
  await open(page, `${home}/dashboard`);
  await page.getByRole('button', { name: 'Make my code' }).click();
  await page.locator('#own-link').waitFor();
  await inspect(page, 'fresh-overview');

  // A key: made, shown once, and revoked behind a question.
  await open(page, `${home}/dashboard/keys`);
  await page.locator('#name').fill('Laptop');
  await page.getByRole('button', { name: 'Make key' }).click();
  const key = await page.locator('#api-key').textContent();
  check('the new key is shown', /^bw_live_\S{20,}$/.test(key), key.slice(0, 8));
  await inspect(page, 'new-key');
  await page.getByRole('link', { name: 'I have saved it' }).click();
  equal('keys that show a secret', (await page.content()).includes(key), false);
  const row = page.locator('.keys li', { hasText: 'Laptop' });
  await row.locator('summary').click();
  await inspect(page, 'revoke');
  await row.getByRole('button', { name: 'Revoke this key' }).click();
  await row.waitFor({ state: 'detached' });
  equal('keys left', await page.locator('.keys li').count(), 1);
  await context.close();
}

async function signUp(page, origin, name, email) {
  await page.locator('#name').or(page.locator('body')).first().waitFor();
  if (!page.url().startsWith(`${origin}/signup`)) await page.goto(`${origin}/signup`);
  await page.locator('#name').fill(name);
  await page.locator('#email').fill(email);
  await page.locator('#password').fill(password);
  await page.locator('main button[type=submit]').click();
  await page.locator('#api-key').waitFor();
}

/** To the dashboard, signing in where the signup has not done so. */
async function leaveWelcome(page, origin, email) {
  await page.goto(`${origin}/dashboard`);
  if (page.url().startsWith(`${origin}/login`)) await signIn(page, origin, email);
  equal('where who has signed up can go', new URL(page.url()).pathname, '/dashboard');
}

async function call(path, body) {
  const response = await fetch(`${home}${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${marketKey}` },
    body: JSON.stringify(body),
  });
  check(`POST ${path} is taken`, response.status < 300, await response.text());
}

/** From a shared link to a commission, in the referrer's browser and the visitor's: with JavaScript at a desk, and without
 *  it on a phone. */
async function fiveSteps(browser, javaScriptEnabled) {
  const label = javaScriptEnabled ? 'with' : 'without';
  const how = javaScriptEnabled ? {} : { javaScriptEnabled, viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
  const [referrer, visitor] = [await newContext(browser, how), await newContext(browser, how)];
  const [page, guest] = [await referrer.newPage(), await visitor.newPage()];
  const owner = `olga-${label}@olga${label}${run}.example`;
  const figures = async () => {
    await page.goto(`${market}/dashboard`);
    const cells = await page.locator('.metrics dl > div').all();
    const pairs = await Promise.all(cells.map(async (cell) => [
      (await cell.locator('dt').innerText()).trim(), (await cell.locator('.figure').innerText()).trim()]));
    const balance = async (id) => (await page.locator(`#${id}`).innerText()).trim();
    return { ...Object.fromEntries(pairs), available: await balance('available'), pending: await balance('pending') };
  };

  // 1. The link is there to share.
  await signUp(page, market, 'Olga', owner);
  await leaveWelcome(page, market, owner);
  await page.getByRole('button', { name: 'Make my code' }).click();
  const link = (await page.locator('#own-link').textContent()).trim();
  const post = new URL(await page.locator('.post a').first().getAttribute('href'));
  equal('where the first button leads', post.hostname, 'x.com');
  check('the post carries the link', post.searchParams.get('text').includes(link), post.search);
  equal('copy buttons without JavaScript', javaScriptEnabled || await page.locator('[data-copy]:visible').count() === 0, true);

  // 2. Somebody follows it, twice: one click, remembered.
  await guest.goto(link);
  await guest.goto(link);
  equal('where the link leads', new URL(guest.url()).pathname, '/signup');
  let seen = await figures();
  equal('Total Clicks', seen['Total Clicks'], '1');
  equal('Total Referrals', seen['Total Referrals'], '0');
  await page.goto(`${market}/dashboard/referrals`);
  check('the visitor is Not Signed Up', (await page.locator('tbody').innerText()).includes('Not Signed Up'));

  // 3. They sign up, and start with a credit.
  check('the offer is named', (await guest.locator('main').innerText()).includes('2.50 USD'));
  const buyer = `bert-${label}@bert${label}${run}.example`;
  await signUp(guest, market, 'Bert', buyer);
  check('the credit is there', (await guest.locator('main').innerText()).includes('2.50 USD'));
  const secret = (await guest.locator('#api-key').textContent()).trim();
  seen = await figures();
  equal('Total Referrals', seen['Total Referrals'], '1');
  equal('Pending Referrals', seen['Pending Referrals'], '1');

  // 4. They buy: a commission, on hold.
  const me = await (await fetch(`${home}/v1/developers/me`, { headers: { Authorization: `Bearer ${secret}` } })).json();
  await call('/v1/purchases', { id: `order-${label}`, developer_id: me.id, amount: 5000, currency: 'usd' });
  seen = await figures();
  equal('Conversions', seen.Conversions, '1');
  equal('Conversion Rate', seen['Conversion Rate'], '100.00%');
  equal('Total Earnings', seen['Total Earnings'], '2.50 USD');
  equal('pending', seen.pending, '2.50 USD');
  equal('available', seen.available, '0.00 USD');
  await page.goto(`${market}/dashboard/referrals`);
  check('the referral made a spend', (await page.locator('tbody').innerText()).includes('Made a Spend'));

  // 5. Thirty days on it is the referrer's.
  await call('/v1/test-clock', { advance: 'P30D' });
  seen = await figures();
  equal('pending', seen.pending, '0.00 USD');
  equal('available', seen.available, '2.50 USD');
  await page.goto(`${market}/dashboard/ledger`);
  const line = await page.locator('tbody tr').first().innerText();
  check('the ledger has the commission', /Commission[\s\S]*ELIGIBLE[\s\S]*\+2\.50 USD/.test(line), line);
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Download CSV' }).click();
  const csv = readFileSync(await (await download).path(), 'utf8');
  check('so has the CSV', csv.split('\r\n').some((row) => row.includes(',commission,250,ELIGIBLE,')), csv);
  await referrer.close();
  await visitor.close();
}

let browser;
try {
  if (shotsDir) mkdirSync(shotsDir, { recursive: true });
  browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const credits = await look(browser, home, 'alice@alice.example', 'full');
  await enhancements(credits.context, credits.page);
  await credits.context.close();
  for (const [email, label] of [['alice@alice.example', 'market'], ['max@max.example', 'limits']]) {
    const { context, page } = await look(browser, market, email, label);
    await open(page, `${market}/dashboard/referrals`);
    for (const place of [0, 2]) if (await page.locator('.under summary').count() > place) await page.locator('.under summary').nth(place).click();
    await inspect(page, `${label}-details`);
    await context.close();
  }
  await emptyStates(browser);
  for (const javaScriptEnabled of [true, false]) await fiveSteps(browser, javaScriptEnabled);
  check('no console error, no CSP violation, no request elsewhere', faults.size === 0, [...faults]);
  await browser.close();
  console.log(JSON.stringify({ ok: true, checks }));
} catch (error) {
  console.error(`FAILED after ${checks} checks: ${error.stack}`);
  await browser?.close().catch(() => {});
  process.exitCode = 1;
}
