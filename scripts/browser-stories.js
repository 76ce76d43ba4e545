// What people do with a browser around signing in: tabs, back, late, out and back, blocked cookies.
// Each story gets a fresh browser context; `scripts/browser` runs them.
'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');

const SITE = 'http://localhost:10000';
const SIMULATOR = 'http://127.0.0.1:10001';
const TOKEN_PATH = '/site/oauth2/access_token';

async function grant(page) {
  await page.getByRole('radio', { name: /Ada Lovelace/ }).check();
  await page.locator('button[name="decision"][value="grant"]').click();
}

async function signIn(page, path) {
  await page.goto(`${SITE}${path}`);
  await grant(page);
  await page.waitForURL(`${SITE}${path}`);
}

async function shows(page, reason) {
  const footer = await page.locator('footer').innerText();
  assert.ok(footer.includes(`Reason: ${reason}`), `expected the page of ${reason}, but found ${await page.locator('body').innerText()}`);
}

/** One heading, one language, and something to do that the keyboard reaches. */
async function readable(page) {
  assert.equal(await page.locator('h1').count(), 1);
  assert.equal(await page.locator('html').getAttribute('lang'), 'en');
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= window, `expected the page to fit ${window} pixels, but found ${content}`);
  const actions = await page.locator('main a, main button').count();
  if (actions > 0) {
    await page.keyboard.press('Tab');
    const focused = await page.evaluate(() => document.activeElement.tagName);
    assert.match(focused, /^(A|BUTTON)$/, 'expected Tab to reach the link or button');
  }
}

async function fault(document) {
  const answer = await fetch(`${SIMULATOR}/_simulator/faults`, { method: 'POST', body: JSON.stringify(document) });
  assert.ok(answer.ok, `expected the simulator to take a fault, but found ${answer.status}`);
}

/** A proxy that drops cookies on their way, as some do. Gives its address, and a function that ends it. */
async function droppingProxy(isDropped) {
  const proxy = http.createServer((request, response) => {
    const onward = http.request(request.url, { method: request.method, headers: request.headers }, (answer) => {
      const cookies = answer.headers['set-cookie'];
      if (cookies) answer.headers['set-cookie'] = cookies.filter((line) => !isDropped(line));
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return { server: `http://127.0.0.1:${proxy.address().port}`, end: () => proxy.close() };
}

/** Tells a story with such a proxy on the way. */
async function behind(newContext, isDropped, story) {
  const proxy = await droppingProxy(isDropped);
  // Chromium goes around a proxy for a loopback host unless it is told not to.
  const context = await newContext({ proxy: { server: proxy.server, bypass: '<-loopback>' } });
  try {
    await story(await context.newPage());
  } finally {
    await context.close();
    proxy.end();
  }
}

const STORIES = {
  async 'three tabs sign in at once'(context) {
    const paths = ['/one', '/two', '/three'];
    const pages = await Promise.all(paths.map(() => context.newPage()));
    await Promise.all(pages.map((page, index) => page.goto(`${SITE}${paths[index]}`)));
    for (const index of [1, 2, 0]) {
      await grant(pages[index]);
      await pages[index].waitForURL(`${SITE}${paths[index]}`);
    }
  },

  async 'the back button after a sign-in leads to the site'(context) {
    const page = await context.newPage();
    await signIn(page, '/page');
    await page.goBack();
    assert.ok(page.url().startsWith(SIMULATOR), `expected the page of Bitbucket again, but found ${page.url()}`);
    // Answering the old question once more: the code is new, the state is used up.
    await grant(page);
    await page.waitForURL(`${SITE}/`);
  },

  async 'a callback that comes late says so'(context, screenshot) {
    const page = await context.newPage();
    await page.goto(`${SITE}/page`);
    // What the browser does after ten minutes.
    await context.clearCookies();
    await grant(page);
    await shows(page, 'state_mismatch');
    await readable(page);
    await screenshot(page, 'late');
    await page.getByRole('link', { name: 'Try again' }).click();
    await grant(page);
    await page.waitForURL(`${SITE}/`);
  },

  async 'signing out is asked for, done, and stays'(context, screenshot) {
    const page = await context.newPage();
    await signIn(page, '/page');
    await page.goto(`${SITE}/_bitgate/logout`);
    await readable(page);
    await screenshot(page, 'sign-out');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(`${SITE}/_bitgate/logout`);
    await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
    await readable(page);
    await screenshot(page, 'signed-out');
    assert.deepEqual(await context.cookies(), [], 'expected no cookie to be left');
    await page.reload();
    await page.getByRole('heading', { name: 'You are signed out' }).waitFor();

    // Back leads to no page that needs a session.
    const other = await context.newPage();
    await other.goto(`${SITE}/page`);
    assert.ok(other.url().startsWith(SIMULATOR), `expected to be asked to sign in, but found ${other.url()}`);

    await page.getByRole('link', { name: 'Sign in' }).click();
    await grant(page);
    await page.waitForURL(`${SITE}/`);
  },

  async 'blocked cookies end on a page and not in a loop'(_, screenshot, newContext) {
    await behind(newContext, (line) => line.startsWith('__Host-bitgate'), async (page) => {
      await page.goto(`${SITE}/page`);
      await grant(page);
      await shows(page, 'state_mismatch');
      assert.match(await page.locator('body').innerText(), /cookies are blocked/);
      await readable(page);
      await screenshot(page, 'blocked');
    });
  },

  async 'a session that is dropped on its way ends the loop'(_, screenshot, newContext) {
    await behind(newContext, (line) => /^__Host-bitgate(-grant[.0-9]*)?=/.test(line), async (page) => {
      await page.goto(`${SITE}/page`);
      for (let round = 0; round < 3; round += 1) {
        // Each question of Bitbucket has a state of its own.
        const question = page.url();
        assert.ok(question.startsWith(SIMULATOR), `expected round ${round} at Bitbucket, but found ${question}`);
        await grant(page);
        await page.waitForURL((url) => url.href !== question);
      }
      await shows(page, 'login_loop');
      await readable(page);
      await screenshot(page, 'loop');
    });
  },

  async 'an outage has a page with a way to try again'(context, screenshot) {
    const page = await context.newPage();
    await fault({ path: TOKEN_PATH, status: 503 });
    await page.goto(`${SITE}/page`);
    await grant(page);
    await shows(page, 'bitbucket_unavailable');
    await readable(page);
    await screenshot(page, 'outage');
    await page.getByRole('link', { name: 'Try again' }).click();
    await grant(page);
    await page.waitForURL(`${SITE}/page`);
  },

  async 'a closed page says so'(context, screenshot) {
    const page = await context.newPage();
    await page.goto(`${SITE}/nobody`);
    await shows(page, 'forbidden');
    await readable(page);
    await screenshot(page, 'closed');
  },
};

module.exports = { STORIES };
