FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY scripts/install-missing.sh scripts/
RUN sh scripts/install-missing.sh
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
RUN npm run build

FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title="oss-populator" \
      org.opencontainers.image.description="Fills a volume from an Alibaba Cloud OSS path: fast, verified, durable." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
# Any user must be able to read it, whatever the umask under which the sources were checked out.
COPY --chmod=644 package.json LICENSE /app/
COPY --from=dependencies /app/node_modules /app/node_modules
COPY --from=build /app/dist /app/dist
# Root on purpose: the root directory of a fresh volume belongs to root, and nobody else could write there. The program
# needs no capability and no writable root filesystem, so a pod may set any other user that owns its volume.
ENTRYPOINT ["node", "/app/dist/cli.js"]
