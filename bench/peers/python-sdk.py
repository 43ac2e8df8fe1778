"""The official Python SDK v2 as a program: python-sdk.py ENDPOINT BUCKET PREFIX TARGET OBJECTS."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import alibabacloud_oss_v2 as oss

WHOLE_BYTES = 6 << 20

endpoint, bucket, prefix, target, objects = sys.argv[1:6]
config = oss.config.load_default()
config.credentials_provider = oss.credentials.EnvironmentVariableCredentialsProvider()
config.region = "cn-hangzhou"
config.endpoint = endpoint
config.use_path_style = True
config.insecure_skip_verify = True
client = oss.Client(config)
downloader = client.downloader(part_size=8 << 20, parallel_num=4)


def download(key: str, size: int) -> None:
    path = os.path.join(target, key[len(prefix) :])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    request = oss.GetObjectRequest(bucket=bucket, key=key)
    if size <= WHOLE_BYTES:
        client.get_object_to_file(request, path)
    else:
        downloader.download_file(request, path)


with ThreadPoolExecutor(int(objects)) as pool:
    started = []
    for page in client.list_objects_v2_paginator().iter_page(
        oss.ListObjectsV2Request(bucket=bucket, prefix=prefix, max_keys=1000)
    ):
        started += [pool.submit(download, entry.key, entry.size) for entry in page.contents or []]
    for future in started:
        future.result()
