// A person at the console, in a real browser: crates/cli/tests/e2e/console.rs says what there is, and looks at what is left.
// It reads one JSON object from standard input, and prints one line for each step that it has taken.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const given = JSON.parse(readFileSync(0, "utf8"));
const { browser: executablePath, link, binary, env, screens, me, you, added } = given;
const PATIENCE = 15_000;

const coderclaw = (...args) => execFileSync(binary, args, { env, encoding: "utf8" });
const order = () =>
  JSON.parse(coderclaw("models", "auth", "order", "get", "--provider", "openai-codex", "--json")).order;

function check(holds, words) {
  if (!holds) throw new Error(words);
}

function equal(found, wanted, words) {
  check(JSON.stringify(found) === JSON.stringify(wanted), `${words}: ${JSON.stringify(found)}`);
}

async function until(words, holds) {
  const ends = Date.now() + PATIENCE;
  while (!(await holds())) {
    check(Date.now() < ends, `never: ${words}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const browser = await chromium.launch({
  executablePath,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});

/** What the browser complains about: a script that fails, or one that the page's policy stops. */
const complaints = [];

async function person(options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 }, colorScheme: "light", locale: "en-GB", timezoneId: "UTC", ...options,
  });
  context.setDefaultTimeout(PATIENCE);
  context.on("page", (page) => {
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (said) => {
      if (said.type() === "error" && page.url().startsWith(given.origin)) complaints.push(said.text());
    });
  });
  return context;
}

async function picture(page, name) {
  await page.screenshot({ path: join(screens, `${name}.png`), fullPage: true, animations: "disabled" });
}

/** No name of a button or a field is missing, and nothing sticks out of the window. */
async function fits(page, where) {
  const wrong = await page.evaluate(() => {
    const named = (one) =>
      (one.getAttribute("aria-label") || one.textContent || (one.labels && one.labels[0]?.textContent) || "").trim();
    const all = [...document.querySelectorAll("button, a, select, textarea, input:not([type=hidden])")];
    const nameless = all.filter((one) => !named(one)).map((one) => one.outerHTML);
    const wide = document.documentElement.scrollWidth > innerWidth ? [`${document.documentElement.scrollWidth} px wide`] : [];
    return [...nameless, ...wide];
  });
  equal(wrong, [], where);
}

/** Begins a login; where there is one provider, there is nothing to choose. */
async function begin(page) {
  const choice = page.locator("select[name=provider]");
  if (await choice.count()) await choice.selectOption("openai-codex");
  await page.getByRole("button", { name: /^Log in( to .*)?$/ }).first().click();
}

const focused = (page) => page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? "");

/** Tab after Tab, as somebody without a mouse would. */
async function tabTo(page, wanted) {
  for (let presses = 0; presses < 80; presses += 1) {
    if ((await focused(page)) === wanted) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab never comes to ${wanted}`);
}

const steps = {
  async "the link signs in"(context) {
    const page = await context.newPage();
    await page.goto(link);
    await page.waitForURL(`${given.origin}/`);
    await page.getByRole("heading", { name: "Logins" }).waitFor();
    for (const id of [me, you]) await page.getByRole("heading", { name: id }).waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    const cookie = (await context.cookies()).find((one) => one.name.startsWith("coderclaw-console-"));
    check(cookie.httpOnly && cookie.sameSite === "Strict", "the cookie is for the server's eyes, from its own pages");
    await fits(page, "the page");
    await picture(page, "console-1280-light");
    return page;
  },

  async "the order is changed by keyboard"(context, page) {
    equal(order(), null, "no order yet");
    await page.keyboard.press("Tab");
    equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content", "the first Tab");
    const down = page.getByRole("button", { name: "Move down: openai-codex" }).first();
    const name = await down.getAttribute("aria-label");
    await tabTo(page, name);
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    const first = name.slice("Move down: ".length);
    await until("the order is set", () => order()?.[0] !== undefined);
    equal(order().indexOf(first), 1, "it went one down");
    await page.getByText("In your order").waitFor();
    const at = await focused(page);
    check(at.endsWith(first), `whoever moved it is still there, at ${at}`);
    // Where it can go no further down, up is one Tab away.
    await tabTo(page, `Move up: ${first}`);
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Space")]);
    equal(order()[0], first, "and up again");
  },

  async "a login is pasted"(context, page) {
    await begin(page);
    await page.getByRole("heading", { name: /^Log in to/ }).waitFor();
    await fits(page, "the login's page");
    await picture(page, "login-1280-light");
    const [opened] = await Promise.all([
      context.waitForEvent("page"), page.getByRole("link", { name: "Open the login page" }).click(),
    ]);
    check((await opened.evaluate(() => document.referrer)) === "", "the provider is not told where we came from");
    // Nothing listens where the provider sends the browser: its address is all that there is, as on a headless box.
    const ended = opened.waitForEvent("request", (request) => request.url().includes("code="));
    await opened.getByRole("link", { name: added }).click();
    const address = (await ended).url();
    await opened.close();
    await page.getByLabel("Paste it here").fill("not the address");
    await page.getByRole("button", { name: "Finish" }).click();
    await page.getByRole("alert").waitFor();
    await page.getByLabel("Paste it here").fill(address);
    await page.getByRole("button", { name: "Finish" }).click();
    await page.getByText(`Stored openai-codex:${added} for agent main.`).waitFor();
    await page.getByRole("button", { name: `Add to the order: openai-codex:${added}` }).click();
    await until("it is in the order", () => order().includes(`openai-codex:${added}`));
  },

  async "a session is unpinned"(context, page) {
    await page.getByRole("button", { name: "Unpin: agent:main:release-notes" }).click();
    await page.getByText("is no longer pinned to").waitFor();
    check((await page.getByRole("button", { name: "Unpin: agent:main:release-notes" }).count()) === 0, "nothing to unpin");
  },

  async "what happens elsewhere comes to the page"(context, page) {
    await page.goto(`${given.origin}/`);
    await page.getByText("Live", { exact: true }).waitFor();
    const lines = page.locator("#lines > li");
    const before = await lines.count();
    coderclaw("models", "auth", "order", "clear", "--provider", "openai-codex");
    await page.locator("#lines > li.new", { hasText: "order cleared" }).waitFor();
    equal(await lines.count(), before + 1, "one line more");
    await page.getByText("No order is set").waitFor();
    check((await page.getByRole("button", { name: "Drop the order" }).count()) === 0, "the logins are as they are now");
  },

  async "a logout is asked for first"(context, page) {
    await page.getByRole("button", { name: `Log out: openai-codex:${added}` }).click();
    await page.getByRole("heading", { name: "Log out?" }).waitFor();
    await fits(page, "the question");
    await picture(page, "logout-1280-light");
    await page.getByRole("link", { name: "Keep it" }).click();
    await page.getByRole("heading", { name: `openai-codex:${added}` }).waitFor();
  },

  async "it is good in the dark and on a phone"(context) {
    const state = await context.storageState();
    for (const [name, options] of [
      ["console-1280-dark", { colorScheme: "dark" }],
      ["console-360-light", { viewport: { width: 360, height: 780 }, isMobile: true, hasTouch: true }],
      ["console-360-dark", { viewport: { width: 360, height: 780 }, isMobile: true, hasTouch: true, colorScheme: "dark" }],
    ]) {
      const other = await person({ storageState: state, ...options });
      const page = await other.newPage();
      await page.goto(`${given.origin}/`);
      await page.getByText("Live", { exact: true }).waitFor();
      await fits(page, name);
      await picture(page, name);
      if (name === "console-360-light") {
        await begin(page);
        await page.getByRole("heading", { name: /^Log in to/ }).waitFor();
        await fits(page, "the login's page on a phone");
        await picture(page, "login-360-light");
      }
      await other.close();
    }
  },

  async "it works without script"(context) {
    const other = await person({ storageState: await context.storageState(), javaScriptEnabled: false });
    const page = await other.newPage();
    await page.goto(`${given.origin}/`);
    check((await page.locator("#live").innerText()).includes("Reload the page"), "it says that nothing comes by itself");
    await page.getByRole("button", { name: "Move down: openai-codex" }).first().click();
    await page.getByText("In your order").waitFor();
    check(order().length > 1, "the order is set");
    await page.getByRole("button", { name: "Drop the order" }).click();
    await page.getByText("No order is set").waitFor();
    await other.close();
  },

  async "a browser that is not in sees nothing"(context, page) {
    const other = await person();
    const stranger = await other.newPage();
    await stranger.goto(link);
    await stranger.getByText("used already").waitFor();
    await stranger.goto(`${given.origin}/`);
    await stranger.getByText("This browser is not signed in.").waitFor();
    check(!(await stranger.content()).includes("@x.test"), "nobody is named");
    await picture(stranger, "stranger-1280-light");
    await other.close();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("This browser is not signed in.").waitFor();
  },
};

let status = 0;
try {
  const context = await person();
  let page;
  for (const [name, step] of Object.entries(steps)) {
    process.stdout.write(`${name}\n`);
    page = (await step(context, page)) ?? page;
  }
  equal(complaints.filter((one) => !/status of 403/.test(one)), [], "what the browser complained about");
  process.stdout.write("done\n");
} catch (error) {
  process.stdout.write(`${error.stack}\n`);
  status = 1;
} finally {
  await browser.close();
}
process.exit(status);
