"""Drives the page of `dinomaly serve` in a headless Chromium, dark and light, on a desk and on a phone.

    page_test.py PROGRAM MODEL IMAGE... --out DIR     PROGRAM: dinomaly; screenshots go to DIR

Run by scripts/test_page.sh. Exit status 1 where the page does not do what it should.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

SIZES = {"desk": (1280, 900), "phone": (390, 844)}
NAME = "<img src=x onerror=alert(1)>.png"  # must be shown as what it is


def check(ok, what):
    if not ok:
        raise AssertionError(what)


def until(page, expression, seconds=20):
    """As page.wait_for_function(), which the page's Content-Security-Policy forbids."""
    for _ in range(seconds * 20):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"not within {seconds} s: {expression}")


def start(program, *flags):
    server = subprocess.Popen([program, "serve", *flags, "--port", "0"], stdout=subprocess.PIPE, text=True)
    return server, server.stdout.readline().split()[-1]


def new_page(browser, address, size, scheme, errors):
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme,
                                  device_scale_factor=2 if size == "phone" else 1, permissions=["camera"])
    page = context.new_page()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append("a dialog: " + dialog.message))
    page.goto(address)
    return page


def use(page, images, folder):
    """All that a user does; returns nothing, or raises."""
    page.wait_for_selector("#open:not([hidden])")
    page.set_input_files("#file", [{"name": NAME, "mimeType": "image/png", "buffer": images[0].read_bytes()}])
    page.wait_for_selector("#result:not([hidden])")
    check(page.inner_text("#result-name") == NAME, "the name is not shown as text")
    for image in images[1:]:
        page.set_input_files("#file", str(image))
    until(page, f"document.querySelectorAll('#history li').length === {len(images)}")
    broken = {"name": "broken.png", "mimeType": "image/png", "buffer": b"no image"}
    page.set_input_files("#file", [broken])
    page.wait_for_selector("#message.error")
    check("broken.png" in page.inner_text("#message"), "a damaged image is not named")
    page.locator("#history button").last.click()  # the first image again
    check(page.inner_text("#result-name") == NAME, "the history does not show an image again")
    for image in ("plain", "overlay"):
        check(page.evaluate(f"document.getElementById('{image}').naturalWidth") > 0, f"{image}: no picture")

    page.evaluate("() => { const s = at('threshold'); s.value = 0; s.dispatchEvent(new Event('input')); }")
    check(page.inner_text("#badge") == "anomalous", "a threshold of 0 calls no image anomalous")
    page.evaluate("() => { const s = at('threshold'); s.value = 1000; s.dispatchEvent(new Event('input')); }")
    check(page.inner_text("#badge") == "good", "the highest threshold calls the image anomalous")
    page.click("#reset")
    page.evaluate("() => { const s = at('opacity'); s.value = 40; s.dispatchEvent(new Event('input')); }")
    check(page.evaluate("getComputedStyle(at('overlay')).opacity") == "0.4", "the opacity does not change")
    page.evaluate("() => { const s = at('opacity'); s.value = 100; s.dispatchEvent(new Event('input')); }")
    page.click("#feedback")
    until(page, "at('feedback-said').textContent === 'Kept.'")
    kept = list(folder.glob("*/good/*"))
    check(len(kept) == 1 and kept[0].read_bytes() == images[0].read_bytes(), f"kept: {kept}")

    page.click("#camera")
    until(page, "document.getElementById('video').videoWidth > 0")
    page.click("#shoot")
    until(page, f"document.querySelectorAll('#history li').length === {len(images) + 2}")
    page.click("#camera-close")
    page.evaluate("""async () => { const canvas = document.createElement('canvas'), image = at('plain');
      canvas.width = image.naturalWidth; canvas.height = image.naturalHeight; canvas.getContext('2d').drawImage(image, 0, 0);
      const bytes = await new Promise(done => canvas.toBlob(done)), data = new DataTransfer();
      data.items.add(new File([bytes], 'dropped.png', {type: 'image/png'}));
      document.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})); }""")
    until(page, "document.querySelector('#history .title').textContent === 'dropped.png'")
    over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    check(over <= 0, f"the page is {over} pixels wider than its window")
    page.locator("#history button").last.click()
    page.wait_for_timeout(200)


def with_token(browser, args, errors):
    with tempfile.TemporaryDirectory() as folder:
        token = Path(folder) / "token"
        token.write_text("0123456789abcdef\n")
        server, address = start(args.program, args.model, "--token", str(token))
        try:
            page = new_page(browser, address, "desk", "light", [])
            page.wait_for_selector("#locked:not([hidden])")
            page.fill("#token", "fedcba9876543210")
            page.click("#token-form button")
            until(page, "at('token-error').textContent.includes('does not know')")
            page.fill("#token", "0123456789abcdef")
            page.click("#token-form button")
            page.wait_for_selector("#open:not([hidden])")
            page.reload()
            page.wait_for_selector("#open:not([hidden])")
            page.set_input_files("#file", str(args.images[0]))
            page.wait_for_selector("#result:not([hidden])")
            check(page.evaluate("localStorage.length") == 0, "the token outlives the session")
        finally:
            server.terminate()
            check(server.wait() == 0, "the service with a token did not end well")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=[
            "--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"])
        for size in SIZES:
            for scheme in ("light", "dark"):
                errors = []
                with tempfile.TemporaryDirectory() as folder:
                    server, address = start(args.program, args.model, "--feedback", folder)
                    try:
                        page = new_page(browser, address, size, scheme, errors)
                        use(page, args.images, Path(folder))
                        page.screenshot(path=args.out / f"{size}_{scheme}.png", full_page=True)
                        page.context.close()
                    finally:
                        server.terminate()
                        check(server.wait() == 0, "the service did not end well")
                # The damaged image is answered 422, which Chromium reports.
                errors = [error for error in errors if "422" not in error]
                check(not errors, f"{size}, {scheme}: {errors}")
                print(f"page: {size}, {scheme}: as it should be")
        with_token(browser, args, [])
        print("page: with a token: as it should be")
        browser.close()


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        print(f"page: {error}", file=sys.stderr)
        sys.exit(1)
