"""Fetch the archive, check it, start the command."""

import json
import os
import sys
import time
from hashlib import sha256
from hmac import digest
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener

E = os.environ


def _install(path: str) -> None:
    region = E["AWS_REGION"]
    url = f"https://s3.{region}.amazonaws.com" + ".cn" * region.startswith("cn-")
    url = E.get("AWS_ENDPOINT_URL_S3", E.get("AWS_ENDPOINT_URL", url))
    if not (link := E.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")):
        uri = E["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
        link = f"http://169.254.170.2{uri}"
    web = build_opener(ProxyHandler({}))
    role = json.load(web.open(link, timeout=10))

    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    head = {
        "host": url.partition("//")[2],
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "x-amz-date": now,
        "x-amz-security-token": role["Token"],
    }
    names, lines = ";".join(head), "".join(f"{k}:{v}\n" for k, v in head.items())
    text = sha256(f"GET\n{path}\n\n{lines}\n{names}\nUNSIGNED-PAYLOAD".encode())
    scope, alg = f"{now[:8]}/{region}/s3/aws4_request", "AWS4-HMAC-SHA256"
    key = ("AWS4" + role["SecretAccessKey"]).encode()
    for word in (*scope.split("/"), f"{alg}\n{now}\n{scope}\n{text.hexdigest()}"):
        key = digest(key, word.encode(), "sha256")
    who = f"Credential={role['AccessKeyId']}/{scope},SignedHeaders={names}"
    head["authorization"] = f"{alg} {who},Signature={key.hex()}"

    web.addheaders = [*head.items()]
    body = web.open(url + path, timeout=10).read()
    if (sha := sha256(body).hexdigest()) != E["RUNTIME_SHA256"]:
        raise ValueError(f"SHA-256 is {sha}, not {E['RUNTIME_SHA256']}")
    new = Path(f"{E['RUNTIME_PATH']}.{os.urandom(8).hex()}")
    new.write_bytes(body)
    new.replace(E["RUNTIME_PATH"])


if __name__ == "__main__":
    path = f"/{E.get('RUNTIME_BUCKET')}/{E.get('RUNTIME_KEY')}"
    for pause in (1, 2, 4, 8, 0):
        try:
            _install(quote(path))
            break
        except (HTTPException, KeyError, OSError, ValueError) as error:
            if not pause:
                sys.exit(f"runtime: s3:/{path}: {type(error).__name__}: {error}")
            time.sleep(pause)
    sys.path.insert(0, E["RUNTIME_PATH"])
    sys.path_importer_cache.clear()
    from fargate_runtime.start import start

    start(sys.argv[1:])
