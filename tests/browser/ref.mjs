// A landing page on another host that loads refloop's ref.js, in a real browser.
//   REFLOOP_URL       base URL of a running server; its landing_url must be REFLOOP_LANDING
//   REFLOOP_LANDING   http://localhost:PORT/…, where this script serves the landing page
//   REFLOOP_CODE      a live referral code, and REFLOOP_KEY its owner's API key; nobody has clicked it yet
import { createServer } from 'node:http';
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
const refloop = new URL(setting('REFLOOP_URL')).origin;
const landing = new URL(setting('REFLOOP_LANDING'));
const [code, key] = [setting('REFLOOP_CODE'), setting('REFLOOP_KEY')];
const reportUrl = `${refloop}/r/${code}`;

let checks = 0;
const faults = new Set();
function check(what, holds, seen) {
  checks += 1;
  if (!holds) throw new Error(seen === undefined ? what : `${what}; saw ${JSON.stringify(seen)}`);
}
const equal = (what, seen, wanted) => check(`${what} is ${JSON.stringify(wanted)}`, seen === wanted, seen);

const html = (scripts) => `<!doctype html><html lang="en"><title>Acme Maps</title>${scripts}
<form action="/joined"><input name="referral_code"><input type="hidden" name="ref"><input name="email"><button>Join</button></form>
<form><input name="ref" id="typed" value="TYPED1"></form>
<a id="signup" href="${refloop}/signup">Sign up</a>
<a id="other" href="${refloop}/signup?ref=OTHER1">Sign up with another code</a>
<a id="app" href="/app?from=landing#start" data-refloop>Open the app</a>
<a id="own" href="/pricing">Pricing</a>
<a id="elsewhere" href="https://elsewhere.example/">Elsewhere</a>
<a id="mail" href="mailto:hello@acme.example" data-refloop>Write to us</a>`;
const tag = `<script src="${refloop}/ref.js" async></script>`;

/** The team's own server: no cookie, no code, and a policy that lets refloop's script in and nothing else. */
const server = createServer((request, response) => {
  response.setHeader('Content-Type', 'text/html; charset=utf-8');
  response.setHeader('Content-Security-Policy', `default-src 'none'; script-src ${refloop}; connect-src ${refloop}`);
  const before = request.url.startsWith('/named') ? '<body><a id="refloop" name="refloop"></a><form id="refloop"></form>' : '';
  response.end(html(before + (request.url.startsWith('/twice') ? tag + tag : tag)));
});

let visitors = 0;
/** Somebody with a browser of their own. Notes what goes wrong on the page, and what is reported. */
async function visitor(browser, options = {}) {
  visitors += 1;
  const context = await browser.newContext({ userAgent: `Mozilla/5.0 (X11; Linux x86_64) Visitor/${visitors}`, ...options });
  context.setDefaultTimeout(10_000);
  context.on('weberror', (error) => faults.add(`script: ${error.error()}`));
  context.on('console', (message) => {
    if (message.type() === 'error' && !/ERR_FAILED|favicon|404/.test(message.text())) faults.add(`console: ${message.text()}`);
  });
  const page = await context.newPage();
  const reports = [];
  page.on('request', (request) => { if (request.method() === 'POST') reports.push(request); });
  return { context, page, reports };
}

async function stats() {
  const answer = await fetch(`${refloop}/v1/developers/referral-stats`, { headers: { Authorization: `Bearer ${key}` } });
  return answer.json();
}
async function clicksAre(what, wanted) {
  equal(`clicks ${what}`, (await stats()).total_clicks, wanted);
}

const field = (page) => page.locator('input[name=referral_code]');
const filled = (page) => page.waitForFunction(() => document.querySelector('input[name=referral_code]').value !== '');
const href = (page, id) => page.locator(`#${id}`).evaluate((link) => link.href);

const kept = (page) => page.evaluate(() => localStorage.refloop);
/** Another answer of refloop's has come to the page since. */
const settled = (page) => page.evaluate((to) => fetch(`${to}/healthz`, { mode: 'no-cors' }).then(() => true), refloop);
const keptCode = async (page) => JSON.parse(await kept(page)).c;

/** Opens a page and waits for the report that it sends. */
async function openAndReport(page, url, to = reportUrl, status = 204) {
  const reported = page.waitForResponse((response) => response.url() === to && response.request().method() === 'POST');
  await page.goto(url);
  const response = await reported;
  equal('the report', response.status(), status);
  const sent = response.request();
  equal('cookies with the report', (await sent.allHeaders()).cookie, undefined);
  return response;
}

async function signUp(page, name) {
  await page.locator('#name').fill(name);
  await page.locator('#email').fill(`${name}@${name}.example`);
  await page.locator('#password').fill('correct horse battery');
  await page.locator('button[type=submit]').click();
  await page.locator('#api-key').waitFor();
}

async function throughTheLink(browser) {
  const { context, page } = await visitor(browser);
  await openAndReport(page, `${refloop}/r/${code}`);
  equal('where the link leads', page.url(), `${landing}?ref=${code}`);
  await clicksAre('of the link and the report together', 1);
  await filled(page);
  equal('the code field', await field(page).inputValue(), code);
  equal('the hidden field', await page.locator('input[name=ref][type=hidden]').inputValue(), code);
  equal('a field that was filled in', await page.locator('#typed').inputValue(), 'TYPED1');
  equal('another field', await page.locator('input[name=email]').inputValue(), '');
  equal('a link to refloop', await href(page, 'signup'), `${refloop}/signup?ref=${code}`);
  equal('a link that has a code', await href(page, 'other'), `${refloop}/signup?ref=OTHER1`);
  equal('a marked link', await href(page, 'app'), `${landing.origin}/app?from=landing&ref=${code}#start`);
  equal('a link of their own', await href(page, 'own'), `${landing.origin}/pricing`);
  equal('a link elsewhere', await href(page, 'elsewhere'), 'https://elsewhere.example/');
  equal('an address', await href(page, 'mail'), 'mailto:hello@acme.example');
  await page.locator('#signup').click();
  await page.waitForURL(`${refloop}/signup?ref=${code}`);
  equal('the code on the signup page', await page.locator('#referral_code').inputValue(), code);
  await signUp(page, 'bob');
  equal('referrals', (await stats()).total_referrals, 1);
  await clicksAre('of one visitor on three pages', 1);
  await context.close();
}

async function straightToTheLandingPage(browser) {
  const { context, page, reports } = await visitor(browser);
  await openAndReport(page, `${landing}?ref=${code.toLowerCase()}`);
  await clicksAre('of a visitor who never was at refloop', 2);
  await filled(page);
  equal('cookies of refloop', (await context.cookies(refloop)).length, 0);
  await page.reload();
  await filled(page);
  // Days later, on another page, without the code in the address.
  await page.goto(`${landing.origin}/docs`);
  await filled(page);
  equal('the code that the page remembers', await field(page).inputValue(), code);
  equal('reports in all', reports.length, 1);

  // What the page adds later is found when it is used.
  await page.evaluate((to) => {
    document.body.insertAdjacentHTML('beforeend', `<p><a id="late" href="${to}/signup">Late</a></p>
      <form id="late-form" action="/joined"><input name="ref" class="late"><button id="late-join">Join</button></form>`);
  }, refloop);
  await page.locator('.late').focus();
  equal('a late field', await page.locator('.late').inputValue(), code);
  await page.locator('.late').fill('');
  await page.locator('#late-join').focus();
  equal('a field that was emptied', await page.locator('.late').inputValue(), '');
  await page.locator('#late').click();
  await page.waitForURL(`${refloop}/signup?ref=${code}`);
  await signUp(page, 'carol');
  equal('referrals', (await stats()).total_referrals, 2);

  // The form of the landing page itself brings the code to the team's own server.
  await page.goto(landing.origin);
  await filled(page);
  await page.locator('button', { hasText: 'Join' }).click();
  await page.waitForURL(/joined/);
  const sent = new URL(page.url()).searchParams;
  equal('what the form sends', `${sent.get('referral_code')} ${sent.get('ref')}`, `${code} ${code}`);

  // The window ends on the landing page too.
  await page.evaluate(() => {
    const kept = JSON.parse(localStorage.refloop);
    localStorage.refloop = JSON.stringify({ ...kept, t: kept.t - 7 * 864e5 });
  });
  await page.goto(landing.origin);
  await page.waitForFunction(() => window.refloop === 1);
  equal('the field when the window is over', await field(page).inputValue(), '');
  equal('the link when the window is over', await href(page, 'signup'), `${refloop}/signup`);
  await context.close();
}

async function whateverGoesWrong(browser) {
  // Two tags are one.
  const twice = await visitor(browser);
  await openAndReport(twice.page, `${landing.origin}/twice?ref=${code}`);
  await filled(twice.page);
  await twice.page.waitForLoadState('networkidle');
  equal('reports of two tags', twice.reports.length, 1);
  await clicksAre('with two tags', 3);
  await twice.context.close();

  // Nothing can be kept.
  const without = await visitor(browser);
  await without.page.addInitScript(() => {
    Object.defineProperty(window, 'localStorage', { get() { throw new Error('no storage'); } });
  });
  await openAndReport(without.page, `${landing}?ref=${code}`);
  await filled(without.page);
  equal('the link without storage', await href(without.page, 'signup'), `${refloop}/signup?ref=${code}`);
  await without.context.close();

  // Somebody else's entry, and a code that is none.
  const spoilt = await visitor(browser);
  await spoilt.page.goto(landing.origin);
  for (const kept of ['{', 'null', '"x"', '{"c":"<b>","t":9e15}', '{"t":9e15}']) {
    await spoilt.page.evaluate((text) => { localStorage.refloop = text; }, kept);
    await spoilt.page.goto(`${landing}?ref=<script>`);
    await spoilt.page.waitForFunction(() => window.refloop === 1);
    equal(`the field with ${kept} in the storage`, await field(spoilt.page).inputValue(), '');
  }
  equal('reports of codes that are none', spoilt.reports.length, 0);
  await spoilt.context.close();

  // The report does not get through.
  const offline = await visitor(browser);
  await offline.page.route(reportUrl, (route) => route.abort());
  const failed = offline.page.waitForEvent('requestfailed');
  await offline.page.goto(`${landing}?ref=${code}`);
  await failed;
  equal('the field when nobody says that the code is good', await field(offline.page).inputValue(), '');
  equal('what is kept then', await kept(offline.page), undefined);
  await offline.context.close();
  await clicksAre('when a report does not get through', 4);
}

const hunted = `${refloop}/r/PRODUCTHUNT`;
const huntedPage = `${landing}?ref=producthunt`;

/** Other sites put words of theirs into `ref`; they are no codes. `model` is what ref.js has been served with. */
async function wordsThatAreNoCodes(browser, model) {
  const { context, page } = await visitor(browser);
  if (model === 'first') {
    await page.route(`${refloop}/ref.js`, async (route) => {
      const response = await route.fetch();
      const text = await response.text();
      check('the script says which click wins', text.includes('kept && 0 ?'));
      await route.fulfill({ response, body: text.replace('kept && 0 ?', 'kept && 1 ?') });
    });
  }
  await openAndReport(page, huntedPage, hunted, 404);
  await settled(page);
  equal(`what is kept of a word (${model})`, await kept(page), undefined);
  await field(page).focus();
  equal(`the field after a word (${model})`, await field(page).inputValue(), '');
  equal(`the link after a word (${model})`, await href(page, 'signup'), `${refloop}/signup`);
  await openAndReport(page, `${landing}?ref=${code}`);
  await filled(page);
  equal(`the code after a word (${model})`, await keptCode(page), code);
  await openAndReport(page, huntedPage, hunted, 404);
  await settled(page);
  await filled(page);
  equal(`the field after a code and a word (${model})`, await field(page).inputValue(), code);
  equal(`what is kept after a code and a word (${model})`, await keptCode(page), code);
  equal(`the link after a code and a word (${model})`, await href(page, 'signup'), `${refloop}/signup?ref=${code}`);
  await context.close();
}

/** What a page calls its own parts does not matter. */
async function namedLikeUs(browser) {
  const { context, page } = await visitor(browser);
  await openAndReport(page, `${landing.origin}/named?ref=${code}`);
  await filled(page);
  equal('the code on a page with an element of our name', await field(page).inputValue(), code);
  await context.close();
}

async function withoutScript(browser) {
  const { context, page } = await visitor(browser, { javaScriptEnabled: false });
  await page.goto(`${refloop}/r/${code}`);
  equal('where the link leads without JavaScript', page.url(), `${landing}?ref=${code}`);
  await page.locator('#signup').click();
  await page.waitForURL(`${refloop}/signup`);
  equal('the code that refloop remembers', await page.locator('#referral_code').inputValue(), code);
  await signUp(page, 'dan');
  equal('referrals', (await stats()).total_referrals, 3);
  await clicksAre('without JavaScript', 5);
  await context.close();
}

let browser;
try {
  await new Promise((listening) => { server.listen(landing.port, '127.0.0.1', listening); });
  browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  await throughTheLink(browser);
  await straightToTheLandingPage(browser);
  await whateverGoesWrong(browser);
  await withoutScript(browser);
  for (const model of ['last', 'first']) await wordsThatAreNoCodes(browser, model);
  await namedLikeUs(browser);
  await clicksAre('in all', 8);
  check('no script error and no refusal by a policy', faults.size === 0, [...faults]);
  await browser.close();
  server.close();
  console.log(JSON.stringify({ ok: true, checks }));
} catch (error) {
  console.error(`FAILED after ${checks} checks: ${error.stack}`);
  if (faults.size) console.error(`noted besides:\n  ${[...faults].join('\n  ')}`);
  await browser?.close().catch(() => {});
  process.exit(1);
}
