
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
0	1	\\x0000000000000000000000000000000000000000000000000000000000000000	0	6	\\x3b7961d44f6e185cf86be391051c09a0ced99beb206262835909be9cf7fe313b	738:738:	738	2026-11-21 10:53:55.452943+00	\\x2b42ec3695d061eacfd0d72d5faef05ccf6bf87014497ac305213dc28565b61c
1	1	\\x2b42ec3695d061eacfd0d72d5faef05ccf6bf87014497ac305213dc28565b61c	6	9	\\x8a14bf7fd79a10a7bcca57aa9bb7a9cc119df34a02494a698e493a32a55dda80	746:746:	746	2026-11-21 10:53:55.466108+00	\\x452f06b639b762e66eea4a30d5ee0b0cb289e968e9e0c3844b6403a7f8fa1621
2	1	\\x452f06b639b762e66eea4a30d5ee0b0cb289e968e9e0c3844b6403a7f8fa1621	15	3	\\x609c70af7dd996288178334d150388d13382bb2eb8613adad4b5bb34b7baecbb	750:750:	750	2026-11-21 10:53:55.476437+00	\\xd36d39d5c02266c118760b99e5c7bae94dd5b80cba5bec5bcafb46a4a54aa843
\.

COPY medsync._block_order (first_index, runs) FROM stdin;
0	\\xbe0b0002bee1daa1bef18103020001a00c020002d60a0200018a08
6	\\xc60b000194f3dba1bef18103000201060003d60c020001a40a020002b6050200018a04
15	\\xd60b0001eae1dca1bef181030200018045020001c40f
\.

COPY medsync._era (number, id, system_identifier, timeline, database_oid) FROM stdin;
1	\\x1d08d33bcdeb43ec7f4fcd5770ded7d1	7710576262144088999	1	16384
\.

COPY medsync._image (id, chunk, body) FROM stdin;
\\x14372267e3983c25724254127fe89699	0	\\xff13b8f4731c5aba24a83527b503f3a23fc24983abb5c3f7061f3ee1a690e76cf3e7e7c6e26f278a40dc4c1a4b15f4584c6e17f351967e938baa3712949aefb43daaa9d3aa240219dfa1fed61f96a0c1f0fbc7317cc44398a74af7cf81dbf56da1f2e5b94101dff4ff1b9e7612a2fe3c6073367595c23ba0dd6167ede1fb873afa564c304bf6cbe350267df3fad4624b105b7bff084bba39a7b4c038d7168c788fb3291711699479d08d5c5b7ec1f64cde1499755b2f3e0e9e4555c016bb0747184b72edaeb9042ffae79500d1d937a1afe8153613a8cb628da3f5de8b722c6d8911638debeeb0612221a01bf2dc6445c0b47ffe198026dd118486db93d38ca64e101b1e6f21f4943056b398dd0c3c040b96a9ac1b9b8083b3d06e2301e313af73d59188bac5142e52b843bcf286b3d5271105e30cb7431556aa98fa595b11b95fe64c7e2daea5af3875e5d0cc94d9296dd6440f8182dbad434bd9ff0f09e8cf41b9c2db2b96f2a1381dbb0b1e7be0dcc4a5cde6d01045db70e937778a64b5fbc5b1b14297f800db29648a9f699a2586fa5e2f041182b77bc6161f4ace13bc9801d18d47e1849e087edd68bfcf54389c012d7004c9fbf67173559791ee74037210a04144918ab511aa565b4fb6a17e3deb5fa5119df4f30081ff68a16e9fa095c371ff8791087730364cf6b5216d282eea931e859c4400dc57382d77ee349f74993a1011ad6e042dca71f9d842ea41a7dc867be53db9efc6423bc13e5b64014d65a817590faae1ad534bc063923d2e35dc4ab0033a8d1fe8fc1ae1797318ea5aa3b50533a97321596263ad2c316950b504659d89cbc25e90265ab696970be355f8bb7c9eddf72bace5deec2a41ac7cfd170ea399b699fd5cbd6157e983696b1b5024fce46ad67a490dda09b6f5ba3d452253f2fbcb40444c50a917e2f17af4dd846daab08ec6ffd24070bbb5ff09748be2240b6b64dd61adbe860a8825d10cb3550532131a9b6c7bb264c32690bfc2ac2ff648f816060a7b344f02d637070d4f3a83c0c62482dbf7c8266953468b045f1a9d4be84059da915d89104f7a1c02ba5159502c710766bb57324563eb56d92c12543d793bbdc4f9e6c1acb17372503b655437a24b950d95fbb16c8279946103cfcb5d94b01d99e2fb2951525039b5cdc9b03fa3820a25bd20339869c094cbd783389b315ee8e43f3bb07c95eeedbce1b9a79859a3111b35b9985f2ec3bf66ebbd7deb2418c3ad9d7bf5cf77480827dfbbbc08b6063cace758a81d18955b51c8e9cef974dc3ce9f7248f0512b5fe9527c94ccec626eef4c1d46b0c9d11734ee8c8b736fa35b3fe6934f72b17b2f914c8871f3023d98d1ce0bea147dde214695cdc56d15f45e1f77202bbf6f6cb0f12d9bd603534e7d2bfed178c1e86162ddc30c9f06caab34f52dead7c34a5a4a85f3f8420a6c3b97d0282cb29806cdf387103b1c1331d3f5bcecc4e921d230221f5d5d45dd527d1b9846abded8fe583994c87d4723d50ef8781858ffdf4d159c3ce8a6f3f15ecfff94951a53da32996bc5d1fc72220f9d499e5de1ca223c6a4501100152a54f757b9290f895770599ec3b204c1ff536bddeacf72eebbb886ca54b1049cd6fd18e7eaaffd8b1c304c9cef5f68bf1de830579dccb7089a322ea2a66672357fdb941bd3af876f15907f5ef35bf514eca44509578cb4de62c9e5887ebfcba1295d2f8075e3eeb811942650114a6041d6a9a23a74ab7c9b2856ae43d2ee882c6201cd6780952cc22452eeaeffda4eea0f7fb5e7ce00fe056bd8444e87e7de5d49f67bdc30a83a35c0e39405d314d4763a6e1aae1a3d257f3df548d88980320169d34ae52e9ce7f81c817c35bd0b08cfd98e1366a8878207f099259619b88f447156b2a084531757472e915a43d7cb096a2b014815a8d6a7edfe0f1e2f0cfc1598cddde8ea169b633b1dd49801c6ed69cec55a1f69e91517fde557d9d832f4a7bf0d1e4cf0866cd3603fa47845e727ceb6303f7343118ceb38863c83452395ac3afa4bcdc66ef70d6860d0f65fb2f62aca0591d8474dc7fbcd3ae05cacd1eb75d0e973cc2e28f18242190fca95b07757b7e6e8a68f980fd90790830c30a0bbb009077548e2d4bd4e1947755c1cb8da5c935aaef77b26e360f774cba8b61ae00ffdc4ae5350a08c356f8326cc8d1d51943433e544477e50422f6dd2c6f9138dca76621b0ffc0c9667440d48fdf57237d25e120bc328794333941ae0e9e9bcc65cf56f7447a7d996f7da43581883ae2d75b1566c60aff7d6c1064a0874c3192214a37f0584ea300bfe1d70e7d5b7cf87fd553d0a4e126c08df4233070e9c52aca39a3390f1ef21ffb77710b13b260c812b9ae9882872b1290b32f691e275a11797e4b6d17b3482a1cbfd470f9c3d7ef16cdc65ee081f3a2a92776d1e8838026e4c23ee9b6ac3ad294778b0cadc0fa80149ba656814f69586ee4df6e02e568cf0875f8b86e9a8ce480ff95a511d19f4c88d41b1649e1457de11a8c7e117b9945d679640d4f47f90c401e7cea3c01230d3e2fe6b59a4000e5d29b3fb7b41361323a9ed8ee7e603157a105a081ca111df12794c6f11c27599c2198478a4b98ca220a587d38c3347472acd673bf2c10322eb92ef4baa8ca0016d584e667fb1dccf2a596739106ab3ee46f20efb146f857096a9f75a5ef35d456a5a851cfad4fd9968394c4b189b6623b008aabec47704a715955e72e6bbd986433fdf05fb90610d7ef9e835d62d59f8d92a2248d46fdaf3ed5ee505e2ac616d4fba0e847b3724c823392d8cebcc611ce4f9d5cfc6b1f9bb408bb2a4a14a42c60e419b5e6a2b22ec0ec0abb797483f0268580d55c88a1dc9b8e5c1c1c17901868c3edbf47dbd327788d306d816d4f72bb680fc745d49c3ff700b4e37afced9e73b800e5179c3403c24acca5539a941c95634dfd51689d4238e3a3f7f68729a769508052fb32f3aeead5599980266fa90d5a8650c7f8a54ea1677f618835b54b6285db86f5c19c1a66dc4cd84f550700e291d7210e0ee8ad88ac41d383ea94c0a82210f2964f1c999656411453a67af05c04948b3aef41a21a6cf9d0a53bc727a10c9e74b862ab22f18e3610bd3a5c102a1ef883abd71b72d2d21be58d7a4d01c3342ca8b06522e8bb1300b3ce1ec7f79b715729a46c9b9628c872c5f609b96a50bd35baffbc04c61333cb0b131b9cf87239d587d7eba54066e538e8d1e1dbbbb2981371b2cfb123f765dfe2661d1640387689bb58a285662d8f286db70ed7038dd300db3ecc5f3611bafb98e239caeb3953b4b18fde0d29b2bd68a9c7a3882ec4fe9d56d9254be2724fed410aef9ddef244c4dcc7c4eba01499f4fa1093065f4c9b2fb0deb67c906725ddd4aea7cc508c759cf5717ba6cd76b6ff158c2958523f05ef3ee4bee4199b1a019a743ab7d55f9992f04022b1ff36b777a534b5cf07f00b31ed3daa6b34c6f43ef57fa618376aa0b0664a19ed185ed8779815d5d12b5716365302783561c66471ab3ff1e03b123bca2b47054b5de9075c4a4bfb7793662f32f8820e4977ee57cd17d3d7136eca1a490d378f92e71cc9ab6c1998c8cdab7803581a807b1dcec5837898108ec0b249ae9997062a9fab4f013b9b1a8cc3c4dec3bbecfe9caeb0283925723b2cd7c962a243c01196e4f98af1708063eb9c71f9b529087ae41042ed353a4ae4d78264afd95047a4a845cdf4deef2c1675eca3c5b6c9169b5d1bb0f396d75bb11ac4bfa217511d109a91a5d1ef903e076b61e0a15f97ee136ce1c6c1950d6c88ab270069bd48be63923367874ac325179413e6fb1d0bf51b950b41e1a19f403d76d19ec7fe2570302500f77d440e294ba81e711a091fc89887f3d259655873a73c9c8996815b750caf8afbd9797ea94e3465df921ef1857b0001352e62d4bf0c60f73be978c0e995bad44df73a15b8e3681a160f3742329e42e637966dcb41fb988866041a497ffa7d838040a16e560071a4b343263b8acb0affa4ec34af05497120075c4b7e94d6212ed6c93d8834435c723d66fd5c4ce1ce56ad997c224ce7a7893d69156d8737ceb886c34955c18b2f2f04b150e8f28c23f48fc0811bb020a59cc5755a36bf8bbe33cb94f4d841cc660659e7180f0d63a2fcf7eff364963f50fc2e89ad56b671fc4ff08d2eee3215fcb5ad1bc8cbc726337b15bf2be30238aba09c4e866f365eaaf7f4e689352c3aad0a4ac20c90c99f619e89d358761c82559356d9a9d9ea94055adbccdee8928e8d346cec43426bbcd55fed62dcf0a9c624b3f36ef7ddf991b37ef45abe2fea6a61f9e49a1bbcbdd6e8047290c1a9b05cbd5b804292a160cc75c21f5ecb1b6dd00f77881eac08c368e1e2cda5d1c901fe22ea41334c120d5682c7b30849efe772db45035d3fa411f86397e0407defc24877e722efc6fa21ad2840ff9ed9584423b60c26a22b99109655c35c368a102d3fa2ee734e1cf40da442d4ea1bdeb55ed9c108ba4b45201bbcd5ddf3abad92b440a4dbc76e602720f3132ca87d20fa1b6b04e593b821347d96e0599d5dd02c3d7a49556a0c367f3277149485a024d54828b91bc352fc3633613a4da81d87e6895eaf30ba6b60332e86891575fcca46aef450bd7cf2fd7746e6765298efb1c3be1335bdae7cbb46972142617a9dfd1d5c7b7f0a0d894b6a8c43e81e3b36006e68f4064248118f634d905eb332713746bfa7314e235737e1873874f1cb7428e4a169a09b3ba809135b5f60eda4e95f47421016486d345d095ae711d5ec839c71cb14e1e9234aa5212617be2ebf77c67aba1648680b65a56627616139a395c568b6bcf5e059db6567c6e08a1fe3bbace3a539b44190dc420b79bc89814729ff8774b8f55a9b84032f573b470efcbaaad9d758e55960504a81a73e307a2dcdb3f7f043467824882d296a8a32a48b43d67a58d6a89844c02b7a264e72479412dd82e8ee43143f9220a5a5877d86aedad7e005237de4fefe93564cb7f003b8886531179234901d416cf65f7507654a606a65c034e7b3a024b8c337d61fb900a3dd399b2ca91944532d4b1ddce45a7934577b67eb668be65c48c24cc3db195b58faecf117f1149a6df784522ed6f5693c018e308e5dda8155e4a3cf8db0ae85539ebacc8494e55cfc536dcc1882af26fe0f7596fa4d9095efe25ddaf22aac17cdce657f4be09910107e453f754b9626e02f02ff18bf93355e6b1107fbe448cf012c3e48f36f1f374dc23c7c36c76aa14f84a9f1a74091836ae41e215b4c937b3311d8d07174c0331b9e5e9e0ace0d96820eaebd85e25eebe1e358fd15ff967a85067c60797edde956967d4792df62c9baaae8707bcbb4d1f397b3461699ac38b37a3834877003b4d6afbb09555c263446e823ae6926b61c0a4387e6e8b842aeafd0b2a25ffce385b3466bd8c78c1718604682cef7d448fd86af084247c7debe9775bb5998ce3079db3a396de42fd3451bb8652ffebdb3f83b6ea603a04dd287fe4c715394931c3e5e073d33e4a81e120a20e11228b5a1582bc01b48464c608e0c8805586d8d718fd9f23524e9c5d0f3e7fb4382115027624f09d13ef5da48e5a278b94e184b988115c7a95c63634c7847140f9bbb11992302d94da7d297567ee0342b8f493f11019e75cdfc735a32ead531210c633417c5cfbc300430ee76425e2543a8e57fa13a3add031e1672480f2045610c47698aef754a3eb2fbbbe4d12b5e90e9da6083880e68c67df2817944d34c42674504ee0845f746201cc389a8ec2ff26df2e78aa95d7d4deef6517945333a46058a515e912b1a8ac27571d55fa902b9e79ba4a9675e266b411ec7793489f8ea4ebb1defb4dc6c2617c1f7040d147a24e49466fd01de8256d97ca3d0e1828d5d8653edf541ffa37570818afccf5dd69881b0146634c5b3b8a4ce9e0cc1e71e38ab7c422bca05bc259431fbb232ea92a0768c07406906e0bd716335c19fa3a7158f16fc0076574ccb0f314fde0f2557cbf07a6e024f6c62c452b2d5c540e0f1bce80dae865d942a808a6c25b09917ed1ff495bcb7b72cbee24f4e4571d8ce1d19952cf38aa5e0095641bc9686e174ca7c0d7c40d9e6b73c3e608cb419cd10f1512313319b9f5e7b1002fb383f6eeba2d478897bf52f642b965e4336626ee2191ccf5bde56048261de518246e3d472cefe6ac94c7aead0031d787fbf91b640c01d762eb125558fcd9018456147b4913dea85a45e90910acdb4a0fa0afe8d3580c46a29a138b1147bdb1890e0768637674bfc3121cf8de29673acce5f91fb00164e717297b97f8665f0f94f33ae0b96cc0be1abd03f45f1c7903281732e7b0f95f0c9b79cca2dd4abf594a80a4543c61c89ca8a73cd15ebb2aaba8dca3812aa008942d4b8601bcb5eead41c37ede3de1152edabbcb6c4ec691f716cae77cfd4744b658e3b34fa7a83c5fcf9916425f020b41f122f074361fb33055a5873ff77196aef81bfa6b711eefa9fe7a0a36d2747818685e19b77918fe71d4ed78b2d8e171c33cd265440a17392818d3a0a628765278ccf792789e4dc87dbc6ca8d93ad2f27b35546e44a210fd096d908c09833dee1bb7c4351e7824923bc17d93741f78ce696758734d3748e748449a268318c1ad4d5918fa8dbd86ac01cc5f228c2f126701fa3eae53e90d2198c2db1af8c30414d42e9016365a2cb35eccc8cc9481f857fed28bea72b9b2d321d5923bd7db0c5752f665ce8593348ca5a4193b1f4ac96f7e2fc0eb073136d2330c32bbd833a99a4564a590ba33aafdf859a1c7994c075c38662d666c2eaaea965b934826aee70d2b1e0cae181b30f8b115d4611d50434a0b5b8df69baff53566da1be7a6626fa47b0188f017fe2612cb5dc68102d53ac43664e1f6cc13d9bac1faf76e7788f08ae1f0e2b5e12e6bdddb5f049497e2c7946e2e24332eb1d161c393427bd59a0270880bf45533f6552a0b096443c9c4d86d3d50e2988a02f0f4cca1ead9bda1f358c122e456533c287fa8954576d2ce2867045734229e74958e11c4cf60ea0936658f8e5b333b3fb1472629cfbb0bf865254329b08bb318c44b300415446d32fdbb5083dfadf63fa9371e7e53cd4e9e2fe1fc4da7d79193b5b195433c40cf092664f71e03599d10e40b3a26602192d44938e74e5363656c53bdf35d938d6a735f123ef79ebf7e9556eaefac02f5237f97f37f60082142234febe3fae7af3baf16f5f75175a1aa78e050f0eaeef41d6ddb8654b64f02ad4751a4f7de335351a318ad131406afca0d266bbe38e6245ab1dbb8a762057a34002c15126a9605b7e0a0548710ec45a6cca86ff6ad1a3c475e794e1fb32182e1c162a08c36857566c62781c7a73aae14217d3b3a8f199f3a8a319294f55483df1563147f48f8a7980b280093cd920811f2b361d1b3fd47a56905ca61791f247e0a18694a64f0c638ecfe28b5b4164440440d272668f358d8d90bef1dc0aa5f30a41dee8ceeb7d4cf18d5979f785d488ebe8edc473523064b8f3cdd33e64d06db531dca0d8ceca37109e6a80de1467dcc23eb8280feb054de8ef7da3c9f064b345c37b5497e36e315906e9e89a3f98bb45083325c359296dddf616e2ad05c0c4aa0c1de80afc38c81115efca0d5ab6dc79606ed9fe97add3c8e8126ce6e8da4322fbd09926503481a6a28b6389f15eeaba33fd81846e0ee39221bb133d1b433aa531b9d211bd7dc56088695e832aa3b3a24afdb9ce3d6f428f7c0ffceac0c93b562b5e12832217a18bf87def4716a6a494d90b369ab5a71e81e6ac389172e5cdf976471b5d129c91a41588e4243d10a5df9bf5a346aad85d569a20800f5bcd2e3ef4fe9d23d7c92abfa6443f0bee84a14dca043e7b2cad6d3b9c181ae844159cb0425ec21eac5d840b98c0df88ef08317d3f05e9ede5bd97435106bc7e5c8a6478252f629518c3797540cd4a8a1d0b78bc7c4c5d5206494bf92e7a3db83a364efd674df6c1b5e9f64f51572a44fb224158907d9028f157eb7e5aed3e6961e96a84061750934fe61f4e00c6763b32f71b7e1b2af0d9ef6b5f25cecc148c76c137cde04b22dba0529ce3a060251a2912b1cc78ef4b48a76871a1000dbcea125f84704df543bdc525fd38158245c97a48a2abf88f18454bf6c309e9116470a1b7c5c7899ce538c40df9cf67190085215793c1350dbdc55e9c33d2b0d8116bf8336f6c1a0c9cbf8bdb30b340ef6721c632067c3c4cf6e03e10b4d1908352ce74f37b5ad157e644576f8e8f8079cbd0402da70db6ff663b2b7b648ca30791f61a6c42c6cff8d1a62f465c4c2a4328ac3d52baf402f935d7ec52693532033d61b7da98daf5ce1960cc7166bfcbfa62d5252ee8bec06e49b9d9b1a2ce082926d9cf10dd35ec734ebe520741a30d4781ae647a636682d3ce1bd6772ee30ad427d7343e564aa33f60e93e77c814528886f07bd1dd5b7d52e6493fa9b7147b4cdef615f02e50b4750efc0beb7fd0cea2a2a3c921544bcf06aa168f2af90254989c1ff046c3f917839bd81bf8dbffce1b6e563b0dc13fef2abf43ac4140ba1c6e064f667580d3d45d56e506cd49228ae7c9b0435905500ce28cd921a98bbc07d7289f879492efde4ad058457ecde34ccafa86a007021bc5f9fc8e4cb6b09ec92dc3d1ebd5c39d118c5e00bdf92ce980817da97c2ec914d1f98ce5cf74099c503753f08c6ebf6bc2a25598a5bbbdb4520744a87cc548922c00cf9cc1c265359dd1b053b830e7e1fc0d0b7279e2bcfd352977ea94ddeae9ffd12c906f8e7beee96d31a1365e2d7de1c21fb0453ac730d84e3e2a4fdca905bbec933f517ed1589fba5f94357f75a993b4d80da816d3558a2d1f0053460ac8412d01bee85db861bfb9824ba6448c4
\.

COPY medsync._journal (xid, ordinal, body) FROM stdin;
735	\N	\\x012237ad39e90d3cdc775b3a5483a004c70101b0f8e60c000303c5f21b585f08706f737467726573ea3b0f895c3265f9aa2d27152d4d0418d4f6ec352d2fb696ee53dfb4d6d496a502cf800209010102ae2d00c592ee1b7a0b36ecf0afbb6fd0671afb56d087560c8be488f103d26a7d2aa8c68f6dae5e67ac9497f0b96253238657c50d060800c592ee1b7a83290bafa03d135a8b01a6272482041f84303d900c73714b272779b106daee9c8768a17b3a3ff24b3b81819939fc6e05d24fee06213fbf4da62627bb9af1ad96c3f3a0e7f0c994e91add68e1a8b2d87a471dee5208d77641578fc74ce92ffdea0b20
736	\N	\\x01ced6e972b574ce3f3a10bfe7faedf0870001d096e70c000303c5f21b5b6f08706f73746772657301cb8002090201f40400c592ee1b7bb15f5ada6fdead9b1a53f8f40674e62daccddaa609926f9688fc88ee60c7a92e389224609e1577fc3799
737	\N	\\x015351e5ca67c1cbf9d37ed593f25890480001f8cde70c000303c5f21b5e1a08706f73746772657302cb8002090301e80600c592ee1b7cad6359d312973e623b94a5c9bd2806eb25e2bdb1ef2ab3b7d369fdff7341765a91751fc2f6b9b7e87573c6800204010400c592ee1b7ce4ae98a00ea2955e7c0c7c28586b46c6920ee3da2c00a2c8377062576fa05e671d3a399e65eb3b7df25f
738	\N	\\x012d4986f18b905b10bec00b9fdf9224070001a8d4e70c000303c5f21b601f08706f737467726573018180040d14000000016b0178420ea85ba70000000100004000
739	\N	\\x0148f1b26d38e34e57f4df49e18eae143b010180e5e70c000303c5f21b7cca0a636c696e69635f61707004403738351d81fd0782bd90ca6edd1f1e4bfe25be9d39c36bd8187e43bfea4802cb0d010101bc3400c592ee1b831950310b56f364fd395fc0fd2b99ffa1879f09a893dc6d5bcd1c998b5c7da693bfd7a8f528b7b6fd68825b32a3340389bc79871f692acabe6cf4298312aaed8a86eafffd73ad61ced08149680855e967f785613ca33f263c16ad4997086770cb8068e657bd0f0202812f01056e75727365c0fd2b99ffa1879f09a893dc6d5bcd1c998b5c7da693bfd7a8f528b7b6fd68825b32a3340389bc79871f692acabe6cf471994753b6ca05c752d5adc70e657000698cc0a72075ebe3cbd1964d91b604c6292229e89e3eea81ff5e2bad2415135e5a2022cd956a8571622ed93be96c071366581b0e836db0de8841
742	\N	\\x0140898041311363cdfadc2cb5866a90420001e0eae70c000303c5f21b7ff50a636c696e69635f61707003cb04010201820500c592ee1b831950310b56f364fd395fbd3a6c01e394a9c452a4b85408ec228c80f111d9bc206ddc0ff69a60ab10509c8004bd3a6c01e394a9c452a4b85408ec228c80f111d9bc206ddc0ff69a60ab10509cc00400c592ee1b7bb15f5ada6fdead9b1a538fc968301d39a4e6ae5ab7c77e9a6488fc8ee3d669a242e8af62f4816b0aa232
743	\N	\\x013974fdcac9cf334e50a594b30c045e390101e0efe70c000303c5f21b82870a636c696e69635f61707008b966cb4bf4dac7b90ef7ccae01e70b9e19d215e1e28263b6969bd0ebc1678301cb0d010401a40600c592ee1b831950310b56f364fd395f2869b58949cad517d1c6819bcd233d1873ee5ac83c1333f55e179043d4529a051381714f83a00b932541ab03dcef35e34650d2c141f651787129e10933dd96b32cd93a97c12892dc86119d44a76fdaed8c1be4037af9fe53de1d762a0a4a085575191c7db8eeb4191b7054c2b5d38db6d8881f7a901c3d
744	\N	\\x011ee31073d7966b2300b9f1db1c48884f0101b8f6e70c000303c5f21b83e20a636c696e69635f617070cffe1f4472333620e281486e983e2ff60903bcc41994ef0c3b00c1d5b8af54e302cb03030101920200c592ee1b7a83290bafa03d135a8b01a6272482041f84303d900c73714b272779b106daee9c8768a17b3a3ff24b3b81819939fc6e05d24fee06213fbf4da626c10d0400c592ee1b86efe15c5cd10b078b7ca9e4202ea469c2bc3a09a8afec569bb520d3eb1a5107204913e5ca8d16a1ad058879811e7e4dc84863f3695a542c9c910d27a8926f42e5bca8f916212d5c5577f287c487c1d1e7dc46418d5ee51cf503702fbc3ec6cf3ed879
745	\N	\\x0114dfd2240d3087dc1fe82b26b89b9ad8000198fae70c000303c5f21b84e70a636c696e69635f61707001cb020502019c0100c592ee1b7bb15f5ada6fdead9b1a538fc968301d39a4e6ae5ab7c77e9a6488fc8ee3d669a242e8af62f4816b0aa232
747	\N	\\x01e1f29b61e69ac1c7b7357f2304b27dd40001c88ee80c000303c5f21b987508706f73746772657301cf800209020201fc0900c592ee1b7bb15f5ada6fdead9b1a53a7dea5fe71f97b973e895e8591e216325df7d1deaaee37d454449776adb9c4ef
748	\N	\\x01743af3dde9b64b4858de781892d8bbcd0001e8cbe80c000303c5f21ba9b50a636c696e69635f61707001cb15010401ac2000c592ee1b86efe15c5cd10b078b7ca96560e2380b81a75cddfa8420c5a66fd321bb7bfd1f183ac9b05b3a83692a92929416a7441d2e4b631ad4987a5b42f57868acd84b8c490b1ae02d0940069dbbe87741951cfffab8111f51982d6de7fec78731
749	\N	\\x019e929fc256feaf4070a5a4abac94d6960001e0cee80c000303c5f21bad970a636c696e69635f61707001cb03050101cc0800c592ee1b831950310b56f364fd395fc0fd2b99ffa1879f09a893dc6d5bcd1c71994753b6ca05c752d5adc70e657000698cc0a72075ebe3cbd1964d91b604c6
751	\N	\\x0108b01a7f7fcb8534359c7979145b06fa0001f8dae80c000303c5f21bcd590a636c696e69635f61707001cb06020202d41c00c592ee1b831950310b56f364fd395fbd3a6c01e394a9c452a4b85408ec228c80f111d9bc206ddc0ff69a60ab10509ce0a42c38755ed3df079dd43f813bf180ff6ac03a394e585da51997a693e0b1f2
752	\N	\\x018d662c52fb9b7b236dbe819b96c213800101f8e0e80c000303c5f21bcfe10a636c696e69635f61707071baaaa1f38d430c9fdcf3d3ec855278785309ff57ffeca81ab688f635e60c0901cb0d010101a20400c592ee1b996680b2eb0ed3101dc30b0098d26dfbef7acd833328b683337653370e56ce5fbd24bc7f56570bffd5f669c3398b8dc3bb2cadaa83a696aabe809d27d8d042fa0667f0a2751bbf4046e98db1126aac38ab75d0eaa3b19c132b46c42b083bec69896316
\.

COPY medsync._key_encryption_key (number, created_at, master_key_id, wrapped) FROM stdin;
1	2026-11-21 10:53:55.449821+00	\\xd9ba238c94a21752	\\xa0ead42aeaaf84f2f68cf7913952019cc9e62d7c0bf4a7a75283460c8e784f616ae76340570892e3b5bbc10559fc42d7413eb7b39aa967e8e30d902c
\.

COPY medsync._ledger (id, created_at) FROM stdin;
\\x619fd802a1b7614a5584150e0de8eb2c	2026-11-21 10:53:55.450127+00
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
\\x00000000000000000000000000000000	\\xf78fc2e1f6b10b9835092457c7a91a58	1	f	\\xd69e96baa2d61231c71afc93a87f8b8a4a277fcbeb7d5fff34283edf94c2d1231023d8d031b62183e1d474e36cc995e93a18cd2f27b3bdcb88e12143
\\xdad81a192cf701773daa995ecb6c6f68	\\x00c592ee1b7a0b36ecf0afbb6fd0671a	1	f	\\x44f087a4f7ddc8e4a9b24b40bb9fa08698698885c3fb1cf6c8f49ac4977bad9e12d1757d25f54f53c67775e44cd57aad1f819e7da1b056cf8ff03267
\\x735d0adeafebff6e5bb18d527c2f2f23	\\x00c592ee1b7a83290bafa03d135a8b01	1	f	\\x977b881b6eae78c367516950fba29884edb77b500210b28b9168615aaef4dcbae0833a95bb500a4890ab2bbde9903f19cc2178969a5f631a0a862996
\\x705578f2ba051f4610f8ac2b18dd226a	\\x00c592ee1b7bb15f5ada6fdead9b1a53	1	f	\\xa3db97362d6508c6cf45adcbfd692c70a7afb962f7d9fa7af7e51a2ed0ad8981e483ea0c7e886ec46e62eb5e0012ca0a589811d27ac491fc3e09036e
\\x09d5e10c9b0fd49abf003c9fc2871586	\\x00c592ee1b7cad6359d312973e623b94	1	f	\\xc32563e76ba327f8d967ffea001676136e1bc6073acdf2ab69810e2570bcf03482c4fd77e51e6b7fe85698e08cfcec5e37e6c1a179c0aba4ef7f0b55
\\x224def011d09accdf10273dd60d1c1ed	\\x00c592ee1b7ce4ae98a00ea2955e7c0c	1	f	\\x0100ac1711a6852536c582e65c095f6709c9b2c8c4e059d930763d302ebdfadb934ee12c9cc734338df51a29cb446fd042440359427d6619811557d1
\\x87c51a3998cfe10bb766ef91c2447fca	\\x00c592ee1b831950310b56f364fd395f	1	f	\\xc58cacb662638233c1903fcff249ee98c913c89c997b42433109a29f62f3dabe7d0f9319782abba24c8da8a9cfac7df166db9278270d03f6e0ce61e8
\\x9c6cb781e0c3cb357c268bab620d31d7	\\x00c592ee1b86efe15c5cd10b078b7ca9	1	f	\\x81faae519cb5148cf91d20865b313e78818fa802a9a072b6b412c74936506a83034f9d48dc77d38097b69d4a5de0a437f3ea8498cbfa70aa287a4355
\\xdbf96808252fffb5a7ed7f59af50bbff	\\x00c592ee1b996680b2eb0ed3101dc30b	1	f	\\x774c57c21d9b1a5d24def86b2971fecff2a340d8613b55081c2b0dc4e93097b2b1854ac6f365be20935bd765e5063d18bd1d79d1531b0092bfca91e3
\.

COPY medsync._table (number, schema_name, table_name, manifest_version, tracked) FROM stdin;
1	public	patient	1	t
3	public	visit	1	t
4	public	visit_2026	1	t
2	public	lab	2	t
\.

COPY medsync._tile (level, tile, hashes) FROM stdin;
0	0	\\xa703f22acb229109ce1d4ab7491f1a0c2cf7855d32105552fd4f4eddeb1553631e497105bb8fa6bdabc4068088cf3d4969540a936e992735870b151d6b628c1ffc8ed1876d78758a60d5d5f3e878c296e586d3e2b3aaecd0944bb3a7b8d748eedc19f7840a43761ccbf6a797cc0322d5487a9dfbd2da5a1f41153b57ee039ed9571ee275c5f9270c424f5a124290887408ee3e5c095c060b93269e26a5264b3595c45a28dfa1cc342191810a6f1ca41c731ac95ba70a6ded077505e8e9c8b4094b58a3a1a4474d7b9295dfe85125784d9ed95c2ed962ecdf52dded4ecf0e63d6d6689fe9ffd9a964f6f2fe8f5e76b7ddc1a657a421a8eb19712df03674745bb8f663f28335df24387972fd412a2bcd251b9b61bd1b538dfef22a442fd2c955c13bf708bd7efc325000bc9733a3437940794b33b4765fc611495e0637f402702be03690339a43a954942239385b1b2acfffe098c8faf1966baecddd6cb6c63745a827c61ced9df0cb657b41b8db7d3b56bb36667e5878caac65660ae28eb61a89a93f7f7806c39eee005a0a8129913a0eea458f6f748774e2e00776387e06bd9ee9e95782f09f765a5451e487dc1b2d4a15b4d1bbc4da64f2b52070d99daa7b7bee50f82d8f7d6e91c87906f02c9241a23803550a394cbfcc15b4a0caaf3cbf8dfe492a54a10f81566c492a580efa94c5e1167293966636655417f0d581ce5436fdfe6957e6ea4572e5114facbad7ae5200fce74492902a15767c56d9163605af897cb7529dc22090f8a3bd6c00952db889b724f4e62fe94987c3a001d4d13252
\.

COPY public.lab (patient, code, value, taken, unit) FROM stdin;
2	718-7	13.20	2026-03-01	\N
2	718-7	13.20	2026-03-01	g/dL
\.

COPY public.patient (id, name, weight, last_seen) FROM stdin;
3	Ana	61.0	2026-01-01 08:00:00+00
4	Cem	80.0	\N
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

