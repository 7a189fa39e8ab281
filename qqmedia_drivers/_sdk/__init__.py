"""What drivers over a synchronous cloud SDK share; it imports no SDK and knows none.

==============  =====================================================================================================
``settings``    `BucketSettings`: the settings that every cloud has, and the vendor's own variables
``threads``     `SdkThreads`: a bounded pool of the driver's own; `Stop`: how a cancelled call is told to end
``bodies``      `UploadBody`: a stretch of an upload as the file object that an SDK reads, and can be stopped
``errors``      `ErrorTable`: the SDK's exceptions to `qqmedia.StorageError`, once, by a table, without secrets
``urls``        `ObjectNames`: key to name in the bucket, and to URL
``parts``       `PartsUpload`: a large body in parts, several at once
``http``        for SDKs over `requests` (`cos`, `oss`): a session that follows nothing and nobody's environment, errors
``logs``        `quieten`: SDKs write headers with tokens to their debug logs
==============  =====================================================================================================

How a driver is put together::

    @asynccontextmanager
    async def open_cos(settings: CosSettings, context: DriverContext) -> AsyncIterator[Driver]:
        client = await context.in_thread(connect, settings)  # in a module that imports the SDK
        async with SdkThreads(context.name, settings.threads) as threads:
            yield CosDriver(settings, context, threads, client)

    class CosDriver:
        async def put(self, upload: Upload, /) -> str:
            return await self._threads.run(lambda stop: self._put(upload, stop))

        def _put(self, upload: Upload, stop: Stop) -> str:  # in one of the threads, from start to end
            name = self._names.of(upload.key)
            with self._errors.translated(), UploadBody.of(upload, stop) as body:
                self._client.put_object(Body=body, ...)
            return self._names.public_url(name)  # or the SDK's presigned one

An SDK that is not installed needs no code: ``DriverSpec(requires=(...), extra=...)`` lets the host say which extra is
missing, and a `ModuleNotFoundError` while it opens is told in the same way. Modules of this package are imported by a
driver's ``_settings`` and ``_driver`` modules and never at discovery.
"""
