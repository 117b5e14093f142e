
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

CREATE EXTENSION IF NOT EXISTS medsync WITH SCHEMA pg_catalog;

COMMENT ON EXTENSION medsync IS 'tamper-evident medical records: ledger, keys, consent';

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE public.lab (
    patient integer,
    code text,
    value numeric,
    taken date,
    unit text
);

CREATE TABLE public.patient (
    id integer NOT NULL,
    name text,
    weight numeric(5,1),
    last_seen timestamp with time zone
);

CREATE TABLE public.visit (
    id integer NOT NULL,
    day date NOT NULL,
    patient integer,
    note jsonb
)
PARTITION BY RANGE (day);

CREATE TABLE public.visit_2026 (
    id integer NOT NULL,
    day date NOT NULL,
    patient integer,
    note jsonb
);

ALTER TABLE ONLY public.visit ATTACH PARTITION public.visit_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');

COPY medsync._block (height, era, previous_hash, first_index, entry_count, root, snapshot, sealer_xid, sealed_at, hash) FROM stdin;
0	1	\\x0000000000000000000000000000000000000000000000000000000000000000	0	6	\\xe8783fe115427a01ce808ec16c9e10327c68c4e6929f05c91748a4fe870c6367	738:738:	738	2026-11-21 10:14:40.393831+00	\\xe5d4e25b9e8cc33f7cca215cd0d244e5b6947dd17e5f4bdae3c87534b0014ae1
1	1	\\xe5d4e25b9e8cc33f7cca215cd0d244e5b6947dd17e5f4bdae3c87534b0014ae1	6	9	\\xba0c5e8f345c54f911ef330dc008b1a36c1d5639ab0f18333b8696f81fe3c767	746:746:	746	2026-11-21 10:14:40.406543+00	\\xecd073cb02204b9e40483a733932150a5de7fb7cd7e6a8ef88cf7dc775cc8cff
2	1	\\xecd073cb02204b9e40483a733932150a5de7fb7cd7e6a8ef88cf7dc775cc8cff	15	3	\\x54fca78c318d38d6000bb380f618ebf35911de0a8792525229bd3c123829d10d	750:750:	750	2026-11-21 10:14:40.417995+00	\\x8fe45f7c92b364e0e879530c03b89d6322b7958d32dc255b814f89e25357ff65
\.

COPY medsync._block_order (first_index, runs) FROM stdin;
0	\\xbe0b0002020001020002020001
6	\\xc60b0002060003020001020002020001
15	\\xd60b0001020001020001
\.

COPY medsync._era (number, id, system_identifier, timeline, database_oid) FROM stdin;
1	\\x53382c2e26cb114196cb2adb6b5f8380	7710566150601623131	1	16384
\.

COPY medsync._image (id, chunk, body) FROM stdin;
\\xefebe14c84fd608d285c300fd9b9a3ec	0	\\xd2f64d3d30baf02b3aa2ae41980f5a02407a81e8cafc47076a794afe0ac9c6373fa3b78c831e3361434e269e3b10afa2f03d384b7d6155d4a4060ec5efe0689fb3a0fe4b767782baddb0a1613334aab6523c07b4cc91969b4bcf3087c0ddf07cf6a7cb9e4be9a3264ccaeccac99c2eaf638f21efdb3308ae2b343476b937ad455462da5bf7cc93da34a4898b22b8c02e7f9ac190a10f5c81da1e4d51dbd9e2297c0fe4b87584594f007ba4b2a52980f6e4e691ba38cfe4237bb76092e8a9c1765cdf4f32e70d35a0bf6d9f666d1b67e4da7ae8f41d592eaa58e37dee4d369f7c820a719546d548c6db47f136d5bea2fb62c36ba3ee7be419eeb1a1ba48965981e775ced9bda6ae83612dc61631917f7d033529cf9f8acd26a297284a4937f73d195f9cc58160fd4a5742658e8189c1ce54c74c8a255617115c71e4acf62aacf02a62d08961b0344a71964dd5ce2ffcae61608d2c1d6c812b369ed59666c6186988d9df074de7e2477c29ab147388c97a7ebe3fd99066b1d1885f2b10aeb9f56555cec667d7f7ded1c68ca9b4f7871b697281f372aefd0608a190e512c17517017e92e56e9bba33ce972fc98526f8b5657a0b6b6e0a91eeef47b3b492a37232702d9f6f9a402e0eb93305f5d0e3a269f57753883cb247826183d76c1468b029496027169c35e12eee666bb848490782a01840c11b89ded9cbe24289baf22f193b1dfa7dddf93e227c93cd5488222c97e1f1fafa77c595104545bf79e9946aaac2055481fbea23d6ac027731ecd2d6d127f9e595f1eca5d284453bb75e480c05149f341b880813054aeae09cce9feead769d4073948648eb2f1c14f914bd7da718d2bb7b4ce88502b3eec553460bc7b4dee9f678a75094f654c2885f2ad5436d29d7de9045e0d99fe486b833e9251add748e6406ceefcfb6f4a336c79c4373018dd45c53892b91e43d8cdf7c0fbafc542c72ea69e425dec838d1cc7f0d64aa95feb204f0de6b54c58bce55197327dc3b04f1d9d5fe2c640ed04c8c4306b3342e171ec406623dd4fb4613864898579b2db27b32b4f7f28832f6df00747b7668b1c24e9133b8d13b3378226ce0597386057561782d5141df61eee60fd46d101885b56cdd89559a1dc21739990e49a7ceee2802fd7a43f926b88ece209731a77ef4af7db5f19267ba1036795c36e467343ff5bcc79477bf74aa7057f8d1c064956d920d8014c3a7995f6bfe94caa41ce153cbb4e995d6df70aa8b22dd3ad21dd46d259584e36aff9476b613e1d62f568901c24ac6a65e6876af67f036487ec7450d526ff7cb3219b8f06b4de18a4343f2fdc96d28598e87123070a494c820ba037e02d2b4881e4563358188e3c7860522fe9ed14d649b9f8b9734f949d9fbb23388f938e88398ee101b485f7f79166364ced1ffe61fed42e802921d60d8625808ec0936453d5f4e9f9f2a402d3358d69e4726f826c02b32a62b79aa677b92e11a559c49ae99492eb5ae630fa1848d1bd2a6e6274eda0f9da42499dac0f67f27607886aeb15faccb76f55d8d08a293cc24638b47398e193e47c53422d01cd5f05019144bb6cedcc9ec5f35b2f961e0f1c6b7dab31dc20dc51013d14c440629e6ccda34a66d8bcbfbec7b39929ebeea2ac8966fe3b361d078995f3578070b237b73149b9d4ed544355c3c3ca468e3b567285cabf3a831a80fb95a489a96a48a937ed28687ea4db1129357d72e83fe2f3d8ca98a76b0c9c9d2b9228e609cfa54c9c49ba60fd4b6d2ef00a46bd8d71db742bf7bc1f40bb24021442deac856f7cad714a8fdddce96a41daca2b56528f160fb45ea9c3e0481bbfdd4dae566e4230267b981510d6db5fc371a894a67ae30fdc7c72b866a708e930b2ef18444b9be393642e4aab333d40413205172d101608f2d2ed912580791c4740cf6d7c90aae21e044c6e012604b391a2fa4fe29c9fc1c801572755a2c40c717aa9ce0db55bb1c6e630830d2be097c1545e068b2f3792dac388ed1811594144aed4d2abde6d365aad867eb0b638acd4d1cbd3e02a98968efc2fa770f0e3375639c98273b2486e5947734107530a71b3548f4eb0e438684018f1485cd930aafacf44aa6bf093c2ff3c1576d519c4230d9fd4b4d00824d714ccabf59ac432c15c2909d524559c46f2f950c587846bdd9e53b91f6fe0f160e13a8473764f32cc7ecdddf933dd56187a247014be80636f2bb0ca1ffd6aeee326353a76741c07a20ded8a0b6b5c4dda75796459d2416fb0f2d6f6a246140f153e803ead31792d703c82b1eeeb8c28b81be47430891cb2d7531c1993a2686f630aace06732d2c5ff7b359ac60912bad5a400135d4b0088ebfe5b1be23218dda4cf8adf4b9aa2ea41f0804f6d48284d6654ddf4082d8aeafd185625653370109b10fa4f9f683e1228a5797fe4d8390963e264f930dc1f3cd8435a514c3c3b059ffc87d39834d79507f3628c517d9069b22d2e44a309b173af3881c60b185db0651c0c06b6e7eb43cec6d0434ad4ded364a73f7d66a50799c6f753160686b8af60d9e04ce0e116870809aa3aeadea86da263c66d285e98de545fb6ed8261262928b06185cbd00575bdac5ac73772339bd0f48130edca2737a214de33db45fe3cd250a985444d67dbed13a3a0b0d9b994e2b656aa4f71aceee68811e6e5adfd23b7e265cc6cf85c0912c4c51e17f867854301b43098eafeadba87d21a3545c1bea07e59557f09874c9c17e82961824d494b48ce87e8d5fea81e44cdeb79518f7f9b2aef69e59fa4ec664d98e74af2b12e8b1c055fb69e760675022fbd39857f1b33db6895402e3602a45fca6b729f00530a2cf5ac50ad0641d4a790f49f338cad52832f3832627673fa02ba09ab52a147bba97a59b929a6b487e5565b4ea1380a6c685eabd6f16e577be789e8479f40a0501df626deb80ebc0c14e0b644b1e10a7f9b731ba8301d77abf24765ed42171bf7227c93c0aaac69dc58542660f51d238c591eda3240fc14ffc53488b5969dade119a38c082988b9837dc7280db224894068c4892046018b911cfe8e5a37254a864fc718f6440238dcc4b843322ac1b6597eb81805bfd5c58e829037dfa2e6f96d2287c926c7fbaf55d7fccba106c2b3bc5f94fee710ba9895fcd34613996c21bd5afc7b51a87b0744e610da86337aaa59a3fdd71381922c22880c5e0eb9896e60d124b8efbecec1edd116093ffd428bc74c24d97898b25707272898d460ee1df39d740a5fe6947eaecc9464c955ddad4f69dbc3620021e44dd944ecfddd035c204ab83d17636794e7f2ec8c9df5381f538363f344ee54a9b1b728de34b80629bb2ef7c0255424147fba25e89441a6acfb1283aab9c20a8ee5192ee92c870aa8df106389ef2828efcac23b899d503faafa18fb6fba9c72faa65cfd8eee85f482109ac23a0865d37abcdecb33aa701b83f839caa5c8f71ed69de903210168bb3c639bdb201d488faea50097e87c9ec7e4bdd0736da8b101a6a87a1aefb8a1d4652779508b5fca049051fa257fc0a17fefaa12d446b6739518dd906c3ca3de05fe7733fa12d28ed29ef37d04886c156ff58247784f1659c3dd6fe5853cfd7512447beb4034e6e31ac63f0b3ce181e94024421afdac873319f58759ba6b677f5576279d3eaa2b832c91b5ecac4732360514acb2b3d708fd87b362e06df983c55c9057c57605706e66613eb4fb9de6c3e69b44631bb1cb594be86a1eb01ef813de0352d185bde126922d7cb4d7d60b8476a09d92231d6bcd942b950a4732fe65b20d1ca4124815b7690fcfb66cdc443d05b1d0b6778ef913f389b448f1ffafc3c3d6dc3aa00bc18eb465a9653e1af3b751d62f7ba065da8b4f7401752dc540cb4de9892b406407d26130a8517d68e53513d58f023bae59eff6dbc2cc16eaf23d2c492bf7b84640b030931d6b54f09cc21ef0754ef0a7b1a5b6b3605b576be22ae826530275b738bf61b56d980dddee24d6817cbf0d4dac0ce69da371a3e220437be2ff14e72af659570e35817eb648e8619f02256eda3452e30e7a5406901936eb78a0b3e7962bfbee982f1d45eb9af40ba806dc35b2cf2e5a631582f038c18efdf41f9cc6ed8af1d5af403d3ddf8ba4d87199171563b5449ea4da9053009c2accf4bdb84e7becf2100f065b588bbd0ea4fa716dc97bf1ccf4d90ef2ac066f777c4fc609447c99819f2c874e03fbc7dff4000310774ffbe3ab25d89c6461d5ed9ef79ae8a9277abc5b68374c04e97000ebfdbf7c2684003652a079050731c6d7b1f669925efd60ce1e1ac1df58f4cad582827c22756744b9150e6727ca18bff74e3f8d8203bc1872a7f88e73f1e043dbd77cf0e0055abf03d5e1e4814e432460e65de870d63ddee4e994630cce0c8999de9f48cab40ae30a6f1e6855c310512fe39c2d48dae4e43a48462a7866987046b90ba4fb810aedfc9d9d2c0b5abb956af0d6ef15d2a2fe838b8d7b8f3a65e02f703c099ed9f75c86211420707ca264122dfad5020ad51a8b315be952b81e27bc3e72dacf55a06d7b379ba7c9752ee580368795b58e645e1e3177b51fd31f440253f7c7e82bfa3a3f63f765f109defc2a7a811bde8c986dabd2083ba63cffd47d9162d807a99f51b6eca71cef1eba165cf1b61fcdf22c7bb136608e4df54b3cb06f645cae0aca49589cb72ec30a4c50d8a5e30cd38c3a8ffe4498c55e834180b386042a1677bffc0c732fe210f58149aa6fc77e232103b2b98a012d082e70b75c09936147d6ebf58db0792f1fdd0138993fe881d06929269ea2447786d24c2bc6b25842f2598854b5ace86593ad6ce57a12091fdc0ec1ac1185061a5c653a91d3f5294205027394136b3a4a394975a2d0611118ff8b0bcaf63892ef1b444f4432e6415eb5b6288a2817a405bc15172d55acc8b461de99cd886f7a41a6855d8e5dfd2b9a06333381ae894f42daa286c768271843805f1273743734477938b607c907786c313e261a499db1180db98418e5e4e6140daa9fa5a149b7745e375eba44cbe7529c97031f112694ec284962401b1e0121924eea9fdfa69df0f564820d4d46a88e6e5e15bdb08dedf0ab195f5df86133d33a579dae80eac1afec89b54142429b1acbb2d5cae8421c3d1f40d87ee5c6f9e63e0e9df0699b4ababd4be4e14880d6754a2d959a771862459f14f526f95cc9c8b2e7a58141fe8d281adf9f46678cf11f9d7124b2cac98b1976fc257f1a3e34f37ed80bf43d75eb3a5f830a5a69d2889768d420fb32db8c999dcf81060386194e4b8bd286ee7cc3f6eeb952544d798b78d9980a5628e4c602b192dd1c3e21ac73c0bb79f5cafa7516e497ec70092ba1952b75db5181e6845eb76cdeba10b9c5ba9b77513b24515df80b7c3b57e45a04ce5689cbfe25157f5dab9a72b1fe197a352126d390fa2834743bc6608ee738d63bf65d1d22a04f347d95762243c7fd15c129ac7b2795c8dba3c0e976bee243273f3d132dd0efac8a45c563e98ce52a2a1bb7b44f775697cb063e4b1c7961595aa8588f0014b2a228ea48dfb0c08bcc8be7b97a3139df86f08a696827f1ad5acd28f63a55abcd39c10c648e579d914029ea9b2acbd112bc711ddb906b3c832037550b4941fa42b6cfbdff3282683f43f30424eb71ca2d2602846b188c4f2d65272f52f11b23e9a2f45b0bbc79e48f68ae1e6b86e29b287c151bf99495e14171f10a4747c04806ab73c86a56420bc583c072bc7767041a3de7814af46333e7c4b0eba883479eeaf3d1a948701eaffffe6b79e8f1328761c96f11f1dbdf3b03cc8feb7a1efb637801cde3885646cbd96695e3cdab851655d1023fc1bbb93cd31f212df568fc769bfae975837eece986e2f99b5f88addcee15e3e2009e6836de7d48f68d6b5a0a53f1971319f210eca2773f4fa0405cad380ad4435b97bf7d17821bd9769d26d0e0f0d5ec063347d81d0d5bcb04a7c67d3fcdda8e1c73efa7ae40f80ec5f36a1d93238e6ae38ac9ab55d83c67843923ba34449b1697973fc3da0f2ef7a3077a30ab035afdd99ede2a0b199bcc7e57b2fdb339ca12d63cdb7243ac85df8d78e4938d1a57130c0e8f329e2eddfae8a06d507038e54c905d3d52b1de25b8bc80540f08905efd0ba29c9b0651f1e534f1ac6d9bfcf895d66b69f55195bd1edfcb572dff34cc51a9958b99197fbae4eba7dab7124e3d935e24a5634f5b991fff6ca134d4058b1fa02a6289138ca4cbf3524f02f3da8f02e30424b4479dde8022a0c690d9e55de7f2c8bb383145e2e1973819ef7f4095f395ae8b6dde5b4f7ca6c2c9fec0537d5f1570af0998dfbbe009a3ed661512308eaf1cd89efbe330772f64256bb0431abccb8f867a9220aa23f48d4df43017fa6f3baec7f4e3cdebd64967973880cf364d4d7b71ce136767d7bb8dbbb0e9b7a2d6adbbbcfb41e351d317809f86bf97e0b9177c2cae3adb4a87baf5c464763083327a9e368d7ba628151dfffa9bb90bedcf6a9711cf6a8c83101420ca5edb7b43f93d98e4612308ba1d2236c1eb1bb581d8a351b5ecc3cb8c3bc86ca6ac79435cd608bd24f2a9dac4625e6bc898148075a529e4914d2503ed86c35999a9088ecd512c93e2bac21c516670b4c02836bc8ca91988f04f1d200e078c4c394095fbca3dd346b9ad01e13fe61f10d4ec05ddc93ce9632cbd8c842fdf92b314eed702a067733f9206accfd6ded97a8db4b951e61f18154db25085e31af31c42c21c6890221a1eb0a58f3536da121f04135bb8c53bc3c5225805136737882671373b79dcd3a67dbea4f5a5d1bb7548249a60048988ddf62df491984848839aa87901745644b9ae93d5e22a7d343686f56ccdfb6355b76b3c99c2dfb65ebb470045eddf9231280ef339fd56bc155c84acd2ff8fe4077a7a115b555e989ba6b249355f4fa9b88bdad14f3630e47f7ea50f3aee978668a883e1d28fd02a86d4af14aae2d0a0cb3d63b37cce7ebe5802f47987595026480c32e637133f5915bc2bf6bfacefb122f90f3051b2da84106ce520f456a872725fb33526f942ca49354bf3281f405a85d5fe4ebaab7ccd7cc4ab41d3890e587cbe9ba53707479eb1d54713a18e1f7435dabea8c2a3febf14e89004d827fae8731a72067de871268727aab16f533c98c45667063942724611cd50d5441a38d8566ee60f90e0caf79bab2a308bf2cc700e6d219688a164b8a8b763c4121f399c588294dcdce49ba668f4f32797f4509012598d2be2bcb181bfb8566b332bfbbd9e7783a545df7d2bb0f5f3fcf097c98b404472624ca12ff6e8df0f88cc635d1d5835c83bf64d8db3fc0179f020453a9bb245556fcc6cfd45b5c23f6a92b9a2f8da06aec165218af24ceaa603eec7af7bcc86283161019060a82bdd76419e5857b71f461f250f7b7efac3be76de021aae734469eabf0f7a0cd196854cf829c912211ccefe52b5351c1cfbb6ad25c20470f6cec28da385453b9c5b2644bf6287a067ad6b2d248a664216a3fe75e27fe08905c18360db40010ffebf00f265204a6ee58ed3a71623afab743305c4aaa8d53eba543ce9c3ccd74b9ba239e0c8f15b4a25bfdffe4550ee509938b6bf50f9f56a035fb5911f5289cc45d1d7edaee5a58ca9fa1e4b1d8605b9f685f8ba79eb2cb8962db761c624ecbc6d47d884fc51a76f8027b3142747839e6d1e60207cfe1c14a25d8eb4f57036688e7f280ee78fc58617beefbbea4d62b318df995e7d218c7a35499ca5ce50ab4033dc24f45b46e66324f4588c494eeaf3f7e8604697999efadf55d398538e601914bc809914a0d966155b0bb4421ceacd8694d5dddb6f92759c35cf914f3e8782c68ab8f72862686cfa8b7e6ef3246ea916439a1db0558bd379d90c597a145ba66c4653078a0d88c7c3b67bcebc306cd9cccca348878de5f2f0d045efddc2da9167ab8c2c1fa4a6b53b89270f294e05c927c9c77631c7c51132589d02d76fc2da28e925f132779656b6b0387562efc0c65edd25f41e129ae1597417581cd919b6218edc7192bfcf16e6f08dfef5c2b80321235c15221cc9b8055241e975484345b249e35c93d6a0a16f6f78bcbca15af2b5e0626859ee7cc7b5523a8cbd83cd6a05f61506b6fb1c5d7d36191228a050b69f26f41dfb57858cac77302000d89ce4b88121c9b8319207fb12b1dee84720a5dfd1b6b67991fd55c7427b6ce28cc7d92bc7f31fa16b896c03da656b9b9e30049bac8edf06b8d5356b2bb9e8fb95977310c0fe56ec02c5fb4fa123bbc1bcb14a0cf99d6d22cbcf810d726eab54d572c78c30536e064082e2ab768b43d7a8219edfed1a446f9264d54b858b7c32b7b923a14c111ff2544fc011db81616b28715dd922d3f853ffb5e217e7410f7a5e6d01bf0509c0add914f108d1d5b0f686536f0b60cf89caed7c29188d40b07b639b32f66a34dff6aaf28fc93443fb1bcb5d0f23678f751dfe28de4b8d787ec5f32b236fc6fac1e01e741b275e724f4df6a89fdf2d4b48b1d2d3176cc5ebc2cd708c7b44de9665944d1b9f63322efdd2b51c5f4a01f5f20f48dd8dba43ebb665e4e73ef8ed920da256ef8602d269e66bf00654f39d497fd7ea55374c73c420faf28922af8d3fb089f0cb24af2faf3d6d4170a73481aed837386417fbc7a13864b74238cd6326840c9a5aa150f163f8d77958bac1c8ecdd80430dae3232d08cf1343ca82a1e1f9be62a6e7a4b2ad47d42ac14a4ab499027ae0b0c6e0ca67231bea56d0612627c40894c76100f915d5aecb923ad0af8edcd80825bed5169db5268f149091853cccd0f32e06f39a5453024010809d987c961b6d382639369b7e8b3c16175ebf3981caa9b562aa098c340e80035dfd1cac49959dc4485dc525f868fdeaba325e07a023e3a315ce8cf4c223
\.

COPY medsync._journal (xid, ordinal, body) FROM stdin;
735	\N	\\x019514c4be1128436a30256955d098e75a010053382c2e26cb114196cb2adb6b5f8380a8f6e60c000303c565bbfec608706f737467726573006807cb1d629af785a3a3329756905c3a4f3c5bf8801cce594e113f750b9cd0028f800209010101ec20fb56d087560c8be488f103d26a7d2aa8c68f6dae5e67ac9497f0b96253238657c50d060714c0ab05d4468e9e962c51b43c49fa951465556258f1453824ec0bcf7fdc3de22c351c8f77ae56fdb8181255c4f0d866676cb7ff2ef625c68140f253b3e1454927beac82e69fe3984367534bb006a9147e74f89db0c99eb7755f9553d372ddc870b026e80cc94573
736	\N	\\x014dc6f05c30a5b3b181ae1adbfe21d9fd000053382c2e26cb114196cb2adb6b5f8380b894e70c000303c565bc017a08706f737467726573018b8002090201f804f8f40674e62daccddaa609926f9688fc88ee60c7a92e389224609e1577fc3799
737	\N	\\x0121cf6a872baa55c918be78f18ca47c8d000053382c2e26cb114196cb2adb6b5f8380e0cbe70c000303c565bc044808706f737467726573028b8002090301fe06a5c9bd2806eb25e2bdb1ef2ab3b7d369fdff7341765a91751fc2f6b9b7e875738680020401047c28586b46c6920ee3da2c00a2c8377062576fa05e671d3a399e65eb3b7df25f
738	\N	\\x016015c3ee0a50a5815b466897c7b3abe5000188d4e70c000303c565bc067908706f737467726573018180040d14000000016b016f0fc7c2c65b0000000100004000
739	\N	\\x01b84b907306fe5c841a65a7b37ce8b0470101d0e4e70c000303c565bc1eb10a636c696e69635f617070088af13aab3d9bc0095d160d157df48feec2f765354302d626b8b185f8b50c6602cb0d010101c42f9843e1806474089424390a3caae7118f6488d116b45efca4b97dbb0e58859fe8fa1924d28dd77a710cab5f7b3486724e4de99892c1cc0c5f74939be5e4d01e34296a3977fff35206e51c92a662b2d30313941bb92a047407fe2c5b16f294c1e600f29704c3ddd5847598bd0f0202db2b01056e757273656488d116b45efca4b97dbb0e58859fe8fa1924d28dd77a710cab5f7b3486724e4de99892c1cc0c5f74939be5e4d01e3495910857d63b90353cbeab02b098779de31ae86b673386b6020a377bf0274d7c296fb0633cb2e8552df7b8d60bc4c732fd076c3f5c711d621277c955ec474c134c0226beaf6d9053f3e3
742	\N	\\x01ebf3e0452a5fc821f08aa81da8de2b720001b0eae70c000303c565bc21740a636c696e69635f61707003cb040102018c049843e1806474089424390a3caae7118fed98c5469704b878fbdb2919c044aaf9372b64037935dd89f4659a53bc144ea08004ed98c5469704b878fbdb2919c044aaf9372b64037935dd89f4659a53bc144ea0c004a355ffcdbcfd4bdff1ffca35f48a0b86fc9f85c2a057dc60c64d619cc16f454f6f58ec248f6ee74ce290380efd0b3df2
743	\N	\\x01f9927c5fe165363195db8f2df1a744d10101b0efe70c000303c565bc24440a636c696e69635f61707091f44f0ebff564bba6db1a1543d80a96327219a4fd9921048054a2b3d82d659301cb0d010401cc069843e1806474089424390a3caae7118f7b52f1ce6b6d90b028525a91695d94a6189f49181e276ca9349aacffa8dab31bdc852f93b1f5900be50d474ba0309e8346df08a8bd2d208002f1a50cd1ec9c0bf41bab602913eaa1d47bd058bf001342e0707edc6b664039bbea36a902e8fcd9f3c8c35aabcd35fa3284ea43ecd30574312fe588f7994e
744	\N	\\x01fca785580d57f8fc4a673cd4aad006fa010188f6e70c000303c565bc25d40a636c696e69635f617070548d848e0773269fb02df30595d449079f7354d07c31442dd2824aae4646f04e02cb03030101f00114c0ab05d4468e9e962c51b43c49fa951465556258f1453824ec0bcf7fdc3de22c351c8f77ae56fdb8181255c4f0d866676cb7ff2ef625c68140f253b3e14549c10d0492776e188940dc06b6898bd31e49bb57e4df3da65801f5d7a3e42a1b8db59ee71886db070c8923a25000db4875397df392e5c5e691d7b2fe3b71b0215c843f83276994f034d295d94f2867029d4365e16878ce9d7583691ce4e737899ddd0a2cb72794f10dc9d95e
745	\N	\\x016a50c05e80db61fca32d2ddb590d1c220001e8f9e70c000303c565bc26f60a636c696e69635f61707001cb020502019801a355ffcdbcfd4bdff1ffca35f48a0b86fc9f85c2a057dc60c64d619cc16f454f6f58ec248f6ee74ce290380efd0b3df2
747	\N	\\x01d57e78b8f13ae44ef330c2f5938cc6140001808ee80c000303c565bc3d0308706f737467726573018f800209020201fc08a7dea5fe71f97b973e895e8591e216325df7d1deaaee37d454449776adb9c4ef
748	\N	\\x0179464698359e360d8ccd13243af7fc41000190cbe80c000303c565bc517f0a636c696e69635f61707001cb15010401ee2f92776e188940dc06b6898bd31e49bb57266eaf4a1ba9c0897a91633d91166bf4ab3a787efd5a6472c3f84fb3fab7dd0616a8c74d25ff37d4a0f55a4ce98ce084aa892b7047151f3bd5ba3f9a73e9ad72ef6b1334ffac593dce7de98438453e0e8731
749	\N	\\x0147b07091aaa2846ea9a1be16e1a395a0000188cee80c000303c565bc54620a636c696e69635f61707001cb03050101a0069843e1806474089424390a3caae7118f6488d116b45efca4b97dbb0e58859fe895910857d63b90353cbeab02b098779de31ae86b673386b6020a377bf0274d7c
751	\N	\\x0136b5546af18966812f6b98796fd1be64000198dae80c000303c565bc79980a636c696e69635f61707001cb06020202e4289843e1806474089424390a3caae7118fed98c5469704b878fbdb2919c044aaf9372b64037935dd89f4659a53bc144ea0ad61dfbd53763e3e80ba085020f4c2b97c315435eb5108b3cd2c6666c02f5528
\.

COPY medsync._key_encryption_key (number, created_at, master_key_id, wrapped) FROM stdin;
1	2026-11-21 10:14:40.390725+00	\\x56c7a3638ff0879d	\\x8fcd47aafa891b180d8240fd1b645bbdf7cc1d507dd8171f7809dde1f73d93abba0af4d121559a8f3b5c9d27e44c56bc012dcb1ee69b05b6376fad0a
\.

COPY medsync._ledger (id, created_at) FROM stdin;
\\x8657b8e3f11c5b365ec52243466efabf	2026-11-21 10:14:40.391123+00
\.

COPY medsync._lookup (kind, segment, chunk, postings) FROM stdin;
\.

COPY medsync._manifest (table_number, version, content) FROM stdin;
1	1	{"table":1,"version":1,"schema":"public","name":"patient","parent":0,"tracked":true,"partitioned":false,"payload":"full","subject":1,"next_column":5,"key":[1],"columns":[{"number":1,"name":"id","type":"integer","excluded":false},{"number":2,"name":"name","type":"pg_catalog.text","excluded":false},{"number":3,"name":"weight","type":"numeric(5,1)","excluded":false},{"number":4,"name":"last_seen","type":"timestamp with time zone","excluded":true}]}
2	1	{"table":2,"version":1,"schema":"public","name":"lab","parent":0,"tracked":true,"partitioned":false,"payload":"hash","subject":1,"next_column":5,"key":[],"columns":[{"number":1,"name":"patient","type":"integer","excluded":false},{"number":2,"name":"code","type":"pg_catalog.text","excluded":false},{"number":3,"name":"value","type":"numeric","excluded":false},{"number":4,"name":"taken","type":"pg_catalog.date","excluded":false}]}
3	1	{"table":3,"version":1,"schema":"public","name":"visit","parent":0,"tracked":true,"partitioned":true,"payload":"full","subject":3,"next_column":5,"key":[1,2],"columns":[{"number":1,"name":"id","type":"integer","excluded":false},{"number":2,"name":"day","type":"pg_catalog.date","excluded":false},{"number":3,"name":"patient","type":"integer","excluded":false},{"number":4,"name":"note","type":"pg_catalog.jsonb","excluded":false}]}
4	1	{"table":4,"version":1,"schema":"public","name":"visit_2026","parent":3,"tracked":true,"partitioned":false,"payload":"full","subject":3,"next_column":5,"key":[1,2],"columns":[{"number":1,"name":"id","type":"integer","excluded":false},{"number":2,"name":"day","type":"pg_catalog.date","excluded":false},{"number":3,"name":"patient","type":"integer","excluded":false},{"number":4,"name":"note","type":"pg_catalog.jsonb","excluded":false}]}
2	2	{"table":2,"version":2,"schema":"public","name":"lab","parent":0,"tracked":true,"partitioned":false,"payload":"hash","subject":1,"next_column":6,"key":[],"columns":[{"number":1,"name":"patient","type":"integer","excluded":false},{"number":2,"name":"code","type":"pg_catalog.text","excluded":false},{"number":3,"name":"value","type":"numeric","excluded":false},{"number":4,"name":"taken","type":"pg_catalog.date","excluded":false},{"number":5,"name":"unit","type":"pg_catalog.text","excluded":false}]}
\.

COPY medsync._subject_key (tag, key_id, key_encryption_key, duplicate, wrapped) FROM stdin;
\\x00000000000000000000000000000000	\\x139a8819590eda05dad347e20511bbac	1	f	\\x9e003938bac87690f46c978ab53ca039e3d727b6873abe070b683c3aa081704a4a383a5488c925e1a908533c261d881c9600e942b1410a9429c579de
\\x66580c8d9372b21350ccfde0c59221af	\\xc901658db89dcc735683b27ba3560161	1	f	\\x1ceed0dfdd0a7cedfd10349fe144b19db8b8b27006d94153739a88472e0a3a757ee384cfe2130302f537470a1ad5a0ab870d70f8d4a7338cdd42c192
\\x6aa18a0641841db1948105f33bc5a49a	\\x14c0ab05d4468e9e962c51b43c49fa95	1	f	\\x62dc58d73276d7fa1a783efaf436209e23d86df2d86602356e98e7588b9e8702006525ba97de8652c0b053762abbaf8049ef21bf33827c67c50b8eab
\\x357f83bfffdc614b796d0ac8a91430d7	\\xa355ffcdbcfd4bdff1ffca35f48a0b86	1	f	\\x3151233c85552e94a5720f2dd1808a526907d2bd021a2de8048febbced2d54407082e71eed66a53ffda92db0a1a9d1593e3e5c66f89c7904e3cc25e1
\\x4b1cf125f6cfe8bf714a232547f0619e	\\xaf21fa22fc38153d0281875bce00ded1	1	f	\\xebcba6ed657448d7d9650fe59a4de2afb9c36975db49ce10313062e55d0a9c0939b4cd79dbea35d2cb4932390abbddaede6bf6842ae67509f6c2a3c1
\\x134a618010f655bb9b5cc9fdcd5df584	\\xd3d4ccd13cc286694939f3e97d21c296	1	f	\\xef5f44bdb48cc39cb98a4f15a542db49051082ef358ac84789268c4c372729945d061f0f6b5339bd9d75f958decf837015b60dcb0f7b61117c9ff05d
\\xd31af93c8a574c9a623ffdd88770e0f8	\\x9843e1806474089424390a3caae7118f	1	f	\\x0652abf7aee941e80486482176b2e07eedd3cbddda4d6e923676424f03535a5b3fcbb9cc5a1fed41e3ae702c8de933389cd5193f7ba9d0503d96a616
\\xe95e8c008f3d5b8c7d7f1ed7e9e1c869	\\x92776e188940dc06b6898bd31e49bb57	1	f	\\xce6ca7a783fbeee2994b3ccfff2b74b44054ee237a573c2d5b2ea536e7b0a663315480f9f0798a98c243ecb7635403d6189826388257b9b356babebc
\.

COPY medsync._table (number, schema_name, table_name, manifest_version, tracked) FROM stdin;
1	public	patient	1	t
3	public	visit	1	t
4	public	visit_2026	1	t
2	public	lab	2	t
\.

COPY medsync._tile (level, tile, hashes) FROM stdin;
0	0	\\x5b90a64ae2c44efc5d86a912e74675d57c6d29ee54209fa8dfcd520a0afafd4d3770dfb551dcffb124e0dcbd7ba093db77ffce703ab74fa612bafcd6255e1fe5d4b1cc7e0c6daf8a742c18eeeb1702cb7d41fb31805fb57cce3aa5bd21c41f83654d5977017acaf0c9e1990a2a7ddb6f1173a1d130cff844b30556998aba2dfc632962dc15d7f1155776c8957efff0fb930904528ce88a2528325dbf7a1be02a6621bc428e31efa84516615e8fc1fccfa698cac8155dfa3bf4698731bbd1104b862498a262c3651332f5251a922659923b467a3423b6fe221c68c7a94a4a383149b9f02e71bf05718d300147e3e6305faf9cd0420528c3a8fd4562d2ddd78069769697b171ec84bfa689d5f96a12dc515356011f42dc8d209ba895ecb07719db5824beb8880f7f3c51926cc959bc56b8393fb39c7f1e9c28d9c603ee5b659394b19ced1a53c6b019573e4f7014b3b1efb5a783b33aa00d23dee628164ab34df759fe3060cea320eac068f205e4399f122f96b7425a455a143a7cc35bb365407e73265dafe221d4cf59c10414deea171fe1151a9de8d075842775dc9ca7350f1ba2b77a5ff0c06a7b929732f61ea76c739a7990150a6203157792050f6748b5c6a7012e245014faea24fc3a23aa87a83fc68f4617cb715a25f59537a176471b000a88f524c466ffaebc29cf1ec252d796a3f1de1e7f3820dd14a8fc9682d902b2981a42f8ad4f404e4501a41c6f372cb631c996fc178a4efea0b3a7ff2dd4358035f1ad653f4d38e5390e341b87c364cb394a0e1ec66821c6037ad688630a345e
\.

COPY public.lab (patient, code, value, taken, unit) FROM stdin;
2	718-7	13.20	2026-03-01	\N
2	718-7	13.20	2026-03-01	g/dL
\.

COPY public.patient (id, name, weight, last_seen) FROM stdin;
3	Ana	61.0	2026-01-01 08:00:00+00
\.

COPY public.visit_2026 (id, day, patient, note) FROM stdin;
1	2026-03-01	2	{"days": 3, "reason": "cough"}
2	2026-03-02	3	{"note": "A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. A long note. "}
\.

ALTER TABLE ONLY public.patient
    ADD CONSTRAINT patient_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.visit
    ADD CONSTRAINT visit_pkey PRIMARY KEY (id, day);

ALTER TABLE ONLY public.visit_2026
    ADD CONSTRAINT visit_2026_pkey PRIMARY KEY (id, day);

ALTER INDEX public.visit_pkey ATTACH PARTITION public.visit_2026_pkey;

CREATE TRIGGER medsync_capture AFTER INSERT OR DELETE OR UPDATE ON public.lab FOR EACH ROW EXECUTE FUNCTION medsync._capture();

ALTER TABLE public.lab ENABLE ALWAYS TRIGGER medsync_capture;

CREATE TRIGGER medsync_capture AFTER INSERT OR DELETE OR UPDATE ON public.patient FOR EACH ROW EXECUTE FUNCTION medsync._capture();

ALTER TABLE public.patient ENABLE ALWAYS TRIGGER medsync_capture;

CREATE TRIGGER medsync_capture AFTER INSERT OR DELETE OR UPDATE ON public.visit FOR EACH ROW EXECUTE FUNCTION medsync._capture();

ALTER TABLE public.visit ENABLE ALWAYS TRIGGER medsync_capture;

CREATE TRIGGER medsync_truncate BEFORE TRUNCATE ON public.lab FOR EACH STATEMENT EXECUTE FUNCTION medsync._truncate();

ALTER TABLE public.lab ENABLE ALWAYS TRIGGER medsync_truncate;

CREATE TRIGGER medsync_truncate BEFORE TRUNCATE ON public.patient FOR EACH STATEMENT EXECUTE FUNCTION medsync._truncate();

ALTER TABLE public.patient ENABLE ALWAYS TRIGGER medsync_truncate;

CREATE TRIGGER medsync_truncate BEFORE TRUNCATE ON public.visit FOR EACH STATEMENT EXECUTE FUNCTION medsync._truncate();

ALTER TABLE public.visit ENABLE ALWAYS TRIGGER medsync_truncate;

CREATE TRIGGER medsync_truncate BEFORE TRUNCATE ON public.visit_2026 FOR EACH STATEMENT EXECUTE FUNCTION medsync._truncate();

ALTER TABLE public.visit_2026 ENABLE ALWAYS TRIGGER medsync_truncate;

