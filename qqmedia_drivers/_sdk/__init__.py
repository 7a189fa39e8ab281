"""What drivers over a synchronous cloud SDK share; it imports no SDK and knows none.

==============  =====================================================================================================
``driver``      `BucketDriver`: the whole driver (check, put, find, delete, URLs) over a `Store`; `open_bucket`
``settings``    `BucketSettings`: the settings that every cloud has, and the vendor's own variables
``threads``     `SdkThreads`: the driver's share of the threads; `Stop`: how a cancelled call is told to end
``bodies``      `UploadBody`: a stretch of an upload as the file object that an SDK reads, and can be stopped
``errors``      `ErrorTable`: an SDK's exceptions to `qqmedia.StorageError`, once, by its `Dialect`, without secrets
``urls``        `ObjectNames`: key to name in the bucket, and to URL
``parts``       `PartsUpload`: a large body in parts, several at once
``http``        for SDKs over `requests` (`cos`, `oss`): a session that follows nothing and nobody's environment, errors
``logs``        `quieten`: SDKs write headers with tokens to their debug logs
==============  =====================================================================================================

How a driver is put together::

    class CosStore:  # a `Store`: the vendor's calls, which block, and its errors; nothing else is a vendor's
        def __init__(self, settings: CosSettings, connected: Connected) -> None:
            self.endpoint_url = connected.endpoint_url
            self.errors = ErrorTable(DIALECT, settings, region=..., endpoint=...)

        def put(self, name: str, headers: ObjectHeaders, body: bytes | UploadBody) -> None:
            self._client.put_object(Key=name, Body=body, ...)

    @asynccontextmanager
    async def open_cos(settings: CosSettings, context: DriverContext) -> AsyncIterator[Driver]:
        connected = await context.in_thread(connect, settings)  # in a module that imports the SDK
        async with open_bucket(settings, context, CosStore(settings, connected)) as driver:
            yield driver

An SDK that is not installed needs no code: ``DriverSpec(requires=(...), extra=...)`` lets the host say which extra is
missing, and a `ModuleNotFoundError` while it opens is told in the same way. Modules of this package are imported by a
driver's ``_settings``, ``_client`` and ``_store`` modules and never at discovery.
"""
