# For a release: --build-arg NODE_IMAGE=node:24-bookworm-slim@sha256:…
ARG NODE_IMAGE=node:24-bookworm-slim

FROM $NODE_IMAGE AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM $NODE_IMAGE AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY scripts/install-missing.sh scripts/
RUN sh scripts/install-missing.sh
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
RUN npm run build

# What is read at run time and nothing else, with modes for any user and fixed times, so that the same sources make the
# same bytes.
FROM $NODE_IMAGE AS files
ARG NODE_IMAGE
ARG SOURCE_DATE_EPOCH=0
WORKDIR /work
COPY scripts/image-root.sh scripts/sbom.ts package.json package-lock.json .npmrc ./
RUN sh image-root.sh /image
COPY package.json LICENSE /image/app/
COPY --from=dependencies /app/node_modules /image/app/node_modules
COPY --from=build /app/dist /image/app/dist
RUN PACKAGES=/image/usr/share/doc/packages node sbom.ts /image/app/sbom.cdx.json \
 && cd /image/app \
 && rm -r dist/types node_modules/.package-lock.json \
 && find node_modules -type f \( -name '*.ts' -o -name '*.[cm]ts' -o -name '*.map' -o -name '*.md' \) -delete \
 && chmod -R u=rwX,go=rX /image \
 && chmod 1777 /image/tmp \
 && find /image -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

FROM scratch
ARG NODE_IMAGE
ARG REVISION=unknown
LABEL org.opencontainers.image.title="oss-populator" \
      org.opencontainers.image.description="Fills a volume from an Alibaba Cloud OSS path: fast, verified, durable." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${NODE_IMAGE}"
ENV NODE_ENV=production \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY --from=files /image /
# Root on purpose: the root directory of a fresh volume belongs to root, and nobody else could write there. The program
# needs no capability and no writable root filesystem, so a pod may set any other user that owns its volume.
ENTRYPOINT ["node", "/app/dist/cli.js"]
