use super::*;

fn chat(model: Option<&str>) -> Mounted {
    Mounted::Surface { id: SurfaceId::OpenAiChat, model: model.map(str::to_owned) }
}

fn models(shape: Shape, id: Option<&str>) -> Mounted {
    Mounted::Models { shape, id: id.map(str::to_owned) }
}

fn posted(target: &str) -> Mounted {
    find(&Method::POST, target).expect(target)
}

fn got(target: &str) -> Mounted {
    find(&Method::GET, target).expect(target)
}

fn refused(method: &Method, target: &str) -> Fault {
    find(method, target).expect_err(target)
}

#[test]
fn chat_completions_are_served_with_and_without_version_and_under_every_mount() {
    let prefixes = MOUNTS.iter().map(|mount| mount.prefix).chain([""]);
    for prefix in prefixes {
        for path in ["/v1/chat/completions", "/chat/completions"] {
            assert_eq!(posted(&format!("{prefix}{path}")), chat(None), "{prefix}{path}");
        }
    }
}

#[test]
fn an_azure_client_names_its_deployment_in_the_path() {
    let target = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
    assert_eq!(posted(target), chat(Some("gpt-4o")));
    assert_eq!(posted("/openai/deployments/a/b/chat/completions"), chat(Some("a/b")));
    assert_eq!(posted("/litellm/openai/deployments/x/chat/completions"), chat(Some("x")));
}

#[test]
fn googles_clients_name_model_and_verb_in_the_path_under_any_of_its_versions() {
    let generate =
        |model: &str| Mounted::Surface { id: SurfaceId::GeminiGenerate, model: Some(model.to_owned()) };
    for version in ["/v1beta", "/v1", "/v1beta1", "", "/genai/v1beta", "/litellm/v1", "/langchain"] {
        let target = format!("{version}/models/gemini-2.5-pro:generateContent?key=x");
        assert_eq!(posted(&target), generate("gemini-2.5-pro"), "{target}");
    }
    for resource in [
        "/v1beta1/publishers/google/models",
        "/v1/projects/p/locations/l/publishers/google/models",
        "/genai/v1beta1/projects/%3Cp%3E/locations/l/publishers/google/models",
    ] {
        let target = format!("{resource}/openai/gpt-4o:generateContent");
        assert_eq!(posted(&target), generate("openai/gpt-4o"), "{target}");
    }
    let stream = Mounted::Surface { id: SurfaceId::GeminiStream, model: Some("m".to_owned()) };
    assert_eq!(posted("/v1beta/models/m:streamGenerateContent?alt=sse"), stream);
    assert_eq!(posted("/v1beta/models/m%3AstreamGenerateContent"), stream);
    for target in [
        "/v2/models/m:generateContent",
        "/v1/publishers/other/models/:generateContent",
        "/v1/publishers//models/m:generateContent",
        "/v1/publishers/a/b/models/m:generateContent",
        "/v1/publishers/other/models/m:rawPredict",
        "/v1beta/anthropic/m:generateContent",
        "/v1/models/:generateContent",
    ] {
        assert!(find(&Method::POST, target).is_err(), "{target}");
    }
}

#[test]
fn a_provider_and_its_model_are_named_in_any_path_that_names_a_model() {
    let named = |id| Mounted::Surface { id, model: Some("some/vendor/model".to_owned()) };
    for model in ["some/vendor/model", "some%2Fvendor%2Fmodel", "some%2fvendor/model"] {
        for (target, surface) in [
            (format!("/v1beta/models/{model}:generateContent"), SurfaceId::GeminiGenerate),
            (format!("/genai/v1/models/{model}:streamGenerateContent?alt=sse"), SurfaceId::GeminiStream),
            (format!("/v1beta/models/{model}:countTokens"), SurfaceId::GeminiCount),
            (format!("/v1beta/models/{model}:embedContent"), SurfaceId::GeminiEmbed),
            (format!("/v1beta/models/{model}:batchEmbedContents"), SurfaceId::GeminiEmbedBatch),
            (format!("/model/{model}/converse"), SurfaceId::BedrockConverse),
            (format!("/bedrock/model/{model}/converse-stream"), SurfaceId::BedrockConverseStream),
            (format!("/model/{model}/invoke"), SurfaceId::BedrockInvoke),
            (format!("/model/{model}/invoke-with-response-stream"), SurfaceId::BedrockInvokeStream),
            (format!("/openai/deployments/{model}/embeddings"), SurfaceId::OpenAiEmbeddings),
        ] {
            assert_eq!(posted(&target), named(surface), "{target}");
        }
        assert_eq!(
            got(&format!("/v1beta/models/{model}")),
            models(Shape::Of(Dialect::Gemini), Some("some/vendor/model"))
        );
    }
    for target in [
        "/v1beta1/projects/p/locations/l/publishers/some/models/vendor/model:generateContent",
        "/genai/v1/publishers/some/models/vendor%2Fmodel:generateContent",
    ] {
        assert_eq!(posted(target), named(SurfaceId::GeminiGenerate), "{target}");
    }
}

#[test]
fn an_error_speaks_the_language_of_its_path() {
    for target in
        ["/v1beta/nothing", "/genai/v1/nothing", "/v1/models/m:generateNothing", "/litellm/v1beta/x"]
    {
        assert_eq!(shape(target), Shape::Of(Dialect::Gemini), "{target}");
    }
    for target in ["/v1/nothing", "/", "/litellm/x"] {
        assert_eq!(shape(target), Shape::Asked, "{target}");
    }
    assert_eq!(shape("/openai/v1beta/x"), Shape::Of(Dialect::OpenAi));
    for target in ["/anthropic", "/anthropic/x", "/v1/messages/x", "/litellm/messages/x", "/anthropic/../x"] {
        assert_eq!(shape(target), Shape::Of(Dialect::Anthropic), "{target}");
    }
    for target in ["/model/m/x", "/bedrock/x", "/langchain/model/m/x", "/bedrock/%zz"] {
        assert_eq!(shape(target), Shape::Of(Dialect::Bedrock), "{target}");
    }
}

#[test]
fn what_is_asked_of_googles_models_is_no_part_of_their_names() {
    for prefix in ["/v1beta", "/v1", "", "/genai/v1beta", "/openai/v1"] {
        for verb in ["generateContent", "streamGenerateContent", "countTokens", "embedContent"] {
            let target = format!("{prefix}/models/sim/m:{verb}");
            assert_eq!(refused(&Method::GET, &target).code, Code::WrongMethod, "{target}");
            assert_eq!(allow(&target), "POST", "{target}");
        }
    }
    assert_eq!(got("/v1/models/llama3:8b"), models(Shape::Asked, Some("llama3:8b")));
}

#[test]
fn model_lists_take_the_shape_of_their_path_or_what_the_headers_say() {
    let google = Shape::Of(Dialect::Gemini);
    assert_eq!(got("/v1/models"), models(Shape::Asked, None));
    assert_eq!(got("/models"), models(Shape::Asked, None));
    assert_eq!(got("/litellm/v1/models"), models(Shape::Asked, None));
    assert_eq!(got("/v1beta/models?key=x"), models(google, None));
    assert_eq!(got("/genai/v1/models"), models(google, None));
    assert_eq!(got("/genai/v1beta/models/gemini-2.5-pro"), models(google, Some("gemini-2.5-pro")));
    assert_eq!(got("/anthropic/v1/models"), models(Shape::Of(Dialect::Anthropic), None));
    assert_eq!(got("/openai/models"), models(Shape::Of(Dialect::OpenAi), None));
}

#[test]
fn a_model_id_may_contain_slashes_and_escapes() {
    assert_eq!(got("/v1/models/openai/gpt-4o"), models(Shape::Asked, Some("openai/gpt-4o")));
    assert_eq!(got("/v1/models/openai%2Fgpt%204o"), models(Shape::Asked, Some("openai/gpt 4o")));
    assert_eq!(got("/v1/models/a%252Fb"), models(Shape::Asked, Some("a%2Fb")), "decoded once");
}

#[test]
fn operations_are_served_at_the_root_only() {
    assert_eq!(got("/healthz"), Mounted::Health);
    assert_eq!(got("/readyz"), Mounted::Ready);
    assert_eq!(got("/metrics"), Mounted::Metrics);
    assert_eq!(find(&Method::HEAD, "/healthz").unwrap(), Mounted::Health);
    assert_eq!(refused(&Method::GET, "/openai/healthz").code, Code::NoRoute);
}

#[test]
fn doubled_and_trailing_slashes_do_not_count() {
    for target in [
        "//v1//chat/completions",
        "/v1/chat/completions/",
        "/v1/chat/%63ompletions//",
        "/openai//v1/chat/completions",
    ] {
        assert_eq!(posted(target), chat(None), "{target}");
    }
}

#[test]
fn dot_segments_are_refused_however_they_are_spelt() {
    for target in
        ["/v1/../v1/chat/completions", "/./v1/chat/completions", "/v1/models/%2e%2E/x", "/v1/models/.."]
    {
        let fault = refused(&Method::GET, target);
        assert_eq!(fault.code, Code::NoRoute);
        assert!(fault.message.contains("dot segments"), "{}", fault.message);
    }
    assert_eq!(got("/v1/models/..x"), models(Shape::Asked, Some("..x")));
}

#[test]
fn escapes_that_are_none_are_refused() {
    for target in
        ["/v1/models/%", "/v1/models/%f", "/v1/models/%+1", "/v1/models/%zz", "/v1/models/%€", "/v1/%ff"]
    {
        assert_eq!(refused(&Method::GET, target).code, Code::NoRoute, "{target}");
    }
}

#[test]
fn a_path_that_is_not_served_is_told_the_closest_that_is() {
    let message = |target| refused(&Method::POST, target).into_parts().message;
    assert_eq!(
        message("/v1/chat/completion?key=hidden"),
        "nothing is served at /v1/chat/completion: did you mean POST /v1/chat/completions"
    );
    assert_eq!(message("/health"), "nothing is served at /health: did you mean GET /healthz");
    assert!(message("/").starts_with("nothing is served at /:"));
    assert!(message(&format!("/{}", "a\u{1}".repeat(9000))).len() < 700);
}

#[test]
fn a_path_that_is_served_names_its_method() {
    let fault = refused(&Method::GET, "/v1/chat/completions");
    assert_eq!((fault.code, fault.message.as_str()), (Code::WrongMethod, "this path takes POST, not GET"));
    assert_eq!(refused(&Method::DELETE, "/v1/models/x").message, "this path takes GET, not DELETE");
}

#[test]
fn an_empty_model_is_no_model() {
    assert_eq!(got("/v1/models/"), models(Shape::Asked, None));
    assert_eq!(refused(&Method::POST, "/openai/deployments//embeddings").code, Code::NoRoute);
}

#[test]
fn every_place_is_found_at_its_own_path() {
    for place in PLACES {
        let method = Method::from_bytes(place.method.name().as_bytes()).unwrap();
        let found = find(&method, &place.path.replace("{model}", "some/model").replace("{id}", "some/model"))
            .unwrap();
        let model = place.path.contains('{').then_some("some/model");
        assert_eq!(found, mounted(place, Shape::Asked, model.map(Cow::Borrowed)), "{}", place.path);
    }
}

#[test]
fn the_admin_api_is_found_at_its_own_paths_and_names_its_methods() {
    for route in routes::ROUTES {
        let method = Method::from_bytes(route.method.name().as_bytes()).unwrap();
        let target = route.path.replace("{name}", "some%20one");
        let name = if route.is_named() { "some one".to_owned() } else { String::new() };
        assert_eq!(
            find(&method, &target).unwrap(),
            Mounted::Admin(Arrival { route, name }),
            "{}",
            route.path
        );
        assert_eq!(find(&Method::PUT, &target).unwrap_err().code, Code::WrongMethod);
        assert!(find(&method, &format!("/litellm{target}")).is_err());
    }
    assert_eq!(allow("/api/keys/ci"), "GET, HEAD, PATCH, DELETE");
    assert_eq!(allow("/api/keys"), "GET, HEAD, POST");
    assert_eq!(refused(&Method::GET, "/api/keys/a%2Fb").code, Code::NoRoute);
}
